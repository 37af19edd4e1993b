"""Splits by a hash of the input: the same for ever, in the right shares, and no input in two of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.data.split import SPLITS, split_name

DRIVING = Path(__file__).parents[3] / "datasets" / "driving.json"
TEXTS = st.text(st.characters(codec="utf-8"))
SHARES = st.floats(0, 0.5)


def test_a_split_never_moves() -> None:
    """Frozen: a model must never be scored on what an earlier version trained it on."""
    splits = {number: split_name(f"row {number}", 0.1, 0.1) for number in range(60)}
    assert [number for number, name in splits.items() if name == "test"] == [41, 47, 53]
    assert [number for number, name in splits.items() if name == "validation"] == [5, 7, 13, 25, 33, 43]


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.0, 0.25), (0.3, 0.0)])
def test_shares_come_out(validation: float, test: float) -> None:
    counts = Counter(split_name(f"text {number}", validation, test) for number in range(5000))
    assert set(counts) <= set(SPLITS)
    assert counts["validation"] / 5000 == pytest.approx(validation, abs=0.02)
    assert counts["test"] / 5000 == pytest.approx(test, abs=0.02)


def test_about_a_tenth_of_the_real_pairs_is_held_out_twice() -> None:
    inputs = [row["input"] for row in json.loads(DRIVING.read_text(encoding="utf-8"))]
    counts = Counter(split_name(text, 0.1, 0.1) for text in inputs)
    assert counts["validation"] / len(inputs) == pytest.approx(0.1, abs=0.03)
    assert counts["test"] / len(inputs) == pytest.approx(0.1, abs=0.03)


@given(TEXTS, SHARES, SHARES, SHARES)
def test_larger_shares_only_take_rows_from_training(text: str, validation: float, test: float, more: float) -> None:
    before = split_name(text, validation, test)
    if before == "test":
        assert split_name(text, more, test) == "test"
        assert split_name(text, validation, min(0.99, test + more)) == "test"
    if before == "validation":
        assert split_name(text, min(0.99, validation + more), test) == "validation"
    assert split_name(text, 0.0, 0.0) == "train"
