"""Flips along the chain: which input, at which link; a warning below 99% alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.export.parity import Flip, find_flips, warnings, write_flips

INPUTS = [f"状态 {number}" for number in range(100)]
SAME = ["好"] * 100


def changed(*places: int) -> list[str]:
    return ["坏" if place in places else "好" for place in range(100)]


def test_a_quantized_file_is_compared_with_the_f16_file_it_was_made_from() -> None:
    files = {"m-f16.gguf": changed(3), "m-q8_0.gguf": changed(3), "m-q4_K_M.gguf": changed(3, 5)}
    assert find_flips(INPUTS, SAME, files) == [
        Flip("状态 3", "merged model -> m-f16.gguf", "好", "坏"),
        Flip("状态 5", "m-f16.gguf -> m-q4_K_M.gguf", "好", "坏"),
    ]


def test_without_an_f16_file_each_is_compared_with_the_merged_model() -> None:
    files = {"m-q8_0.gguf": SAME, "m-q4_K_M.gguf": changed(7)}
    assert [flip.link for flip in find_flips(INPUTS, SAME, files)] == ["merged model -> m-q4_K_M.gguf"]


@pytest.mark.parametrize(("places", "warned"), [((), False), ((1,), False), ((1, 2), True)])
def test_a_link_below_99_percent_is_warned_of(places: tuple[int, ...], warned: bool) -> None:
    flips = find_flips(INPUTS, SAME, {"m-f16.gguf": SAME, "m-q4_K_M.gguf": changed(*places)})
    assert bool(warnings(flips, 100, Path("flips.jsonl"))) == warned


def test_a_warning_names_the_link_the_first_states_and_the_file(tmp_path: Path) -> None:
    flips = find_flips(INPUTS, SAME, {"m-f16.gguf": SAME, "m-q4_K_M.gguf": changed(10, 20, 30, 40, 50)})
    (said,) = warnings(flips, 100, tmp_path / "flips.jsonl")
    assert "m-f16.gguf -> m-q4_K_M.gguf changes 5 of 100 answers" in said and str(tmp_path / "flips.jsonl") in said
    assert "状态 10\n" in said and "状态 30\n" in said and "状态 40" not in said and said.endswith("and 2 more")
    write_flips(flips, tmp_path / "flips.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "flips.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["input"] for row in rows] == ["状态 10", "状态 20", "状态 30", "状态 40", "状态 50"]
    assert {(row["before"], row["after"]) for row in rows} == {("好", "坏")}


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=20))
def test_a_file_that_answers_alike_has_no_flips_and_every_other_answer_is_one(rows: list[tuple[str, str, str]]) -> None:
    inputs, merged, f16 = ([row[place] for row in rows] for place in range(3))
    flips = find_flips(inputs, merged, {"m-f16.gguf": f16, "m-q4_K_M.gguf": f16})
    assert len(flips) == sum(a != b for a, b in zip(merged, f16, strict=True))
