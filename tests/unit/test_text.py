"""Foreign text as it is shown: no control character, no half character, no more than its length."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from drivecoach.text import digest, escaped, fraction, printable, shown, whole

ANY = st.text(st.characters(codec=None), max_size=80)


@given(ANY)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for clean in (shown(text), printable(text)):
        clean.encode("utf-8")
        assert not [c for c in clean if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"]
    assert "\n" not in shown(text) and len(shown(text)) <= 60
    assert [c for c in printable(text) if c in "\n\t"] == [c for c in text if c in "\n\t"]


@given(ANY)
def test_only_half_characters_are_not_whole(text: str) -> None:
    assert whole(text) == "".join("?" if "\ud800" <= c <= "\udfff" else c for c in text)


@given(ANY)
def test_any_text_can_be_written_and_hashed(text: str) -> None:
    escaped(text).encode("utf-8")
    assert len(digest(text)) == 16 and 0 <= fraction("salt", text) < 1


def test_what_people_write_stays_as_it_is() -> None:
    text = "全角　空格；：，\n\té 🚗 don't"
    assert printable(text) == whole(text) == escaped(text) == text
