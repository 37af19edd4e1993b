"""Checking a large file in chunks finds what reading it row by row finds: every verdict, every word, in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivecoach.config import SourceConfig
from drivecoach.data.check import Refusal, scan
from drivecoach.data.survey import survey
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DataError
from tests.support.driving import lines

INPUTS = lines(6)
ANSWERS = [DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(text))) for text in INPUTS]
PAIRS = [
    {"input": text, "output": output, **more}
    for text in INPUTS
    for output in ANSWERS[:3]
    for more in ({}, {"system": "学员1"}, {"id": 7})
]
LINES = st.one_of(
    st.sampled_from([json.dumps(pair, ensure_ascii=False) for pair in PAIRS]),
    st.sampled_from(
        [
            *("", "  ", "no JSON", "7", "{}", '{"input": "挡位:9挡", "output": "x"}', "[" * 2000, '{"a": NaN}'),
            json.dumps({"input": INPUTS[0] + "\ud83d", "output": ANSWERS[0]}),
            json.dumps({"input": INPUTS[0], "output": "<|im_end|>"}),
            json.dumps({"input": INPUTS[1].replace(":", "："), "output": f"<think>\n夜\u2028晚\n</think>{ANSWERS[1]}"}),
        ]
    ),
)
Found = list[Refusal | int]


@pytest.fixture
def in_chunks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Take every file for a large one, cut into chunks of so many bytes, for so many cores."""

    def set_up(chunk: int, cores: int) -> None:
        monkeypatch.setattr("drivecoach.data.survey._LEAST", 0)
        monkeypatch.setattr("drivecoach.data.survey._CHUNK", chunk)
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))

    return set_up


def by_rows(path: Path) -> Found:
    """What `scan` finds, in the words of `survey`."""
    found: Found = []
    for verdict in scan([SourceConfig(path=str(path))], DRIVING):
        if isinstance(verdict, Refusal):
            found.append(verdict)
        else:
            found += [1, *([verdict.warning] if verdict.warning else [])]
    return found


def same(one: Found, other: Found) -> bool:
    """Whether as many rows are accepted, and the same are refused or warned of, in one order."""
    accepted = [sum(item for item in found if isinstance(item, int)) for found in (one, other)]
    said = [[item for item in found if not isinstance(item, int)] for found in (one, other)]
    return accepted[0] == accepted[1] and said[0] == said[1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(LINES, max_size=30),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
    st.integers(1, 4000),
)
def test_chunks_find_what_rows_find(
    in_chunks: Callable[[int, int], None], tmp_path: Path, rows: list[str], end: str, mark: str, chunk: int
) -> None:
    path = tmp_path / "rows.jsonl"
    text = mark + json.dumps(PAIRS[0]) + "\n" + "".join(row + end for row in rows) + json.dumps(PAIRS[-1])
    path.write_bytes(text.encode())
    in_chunks(chunk, 1)
    found = list(survey(SourceConfig(path=str(path)), DRIVING))
    assert same(found, by_rows(path))


def test_several_processes_find_the_same(in_chunks: Callable[[int, int], None], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({**pair, "system": f"学员{number}"}) for number, pair in enumerate(PAIRS * 20)]
    path.write_text("\n".join([*rows, "no JSON", *rows[:50], *(json.dumps(pair) for pair in PAIRS)]), encoding="utf-8")
    in_chunks(20_000, 3)
    found = list(survey(SourceConfig(path=str(path)), DRIVING))
    assert same(found, by_rows(path))
    kinds = {item.kind for item in found if isinstance(item, Refusal)}
    assert kinds == {"malformed", "duplicate", "conflict", "invariant"}
    assert len([item for item in found if isinstance(item, int)]) > 3, "the file was cut"


def test_a_damaged_byte_is_named_by_its_place_in_all(
    in_chunks: Callable[[int, int], None], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    good = (json.dumps(PAIRS[0]) + "\n").encode() * 9
    path.write_bytes(good + b"\xff\n" + good)
    for cores in (1, 2):
        in_chunks(1000, cores)
        with pytest.raises(DataError, match=rf"not UTF-8 \(byte {len(good)}\)"):
            list(survey(SourceConfig(path=str(path)), DRIVING))


def test_texts_that_are_kept_are_judged_as_those_that_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(pair) for pair in PAIRS * 2), encoding="utf-8")
    kept = by_rows(path)
    monkeypatch.setattr(import_module("drivecoach.data.check"), "_KEPT", 0)
    assert by_rows(path) == kept
