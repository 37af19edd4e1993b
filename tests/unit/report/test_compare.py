"""Two runs held together: only on questions that both were asked, and what flipped is counted to the last one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivecoach.data.result import DataResult
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DataError
from drivecoach.report.compare import ALL, Comparison, compare
from drivecoach.report.measured import measured
from drivecoach.stage import finish
from tests.support.command import Run, refused, run  # noqa: F401
from tests.support.measured_runs import rule, states, write_certificate, write_figures
from tests.support.runs import make_run

STATES = states(12)
LINES = [DRIVING.write_input(state) for state in STATES]
Make = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str) -> tuple[Path, Path]:
        """The folder of a run that was exported, and its file; no two runs have the same file."""
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(name.encode())
        kept = make_run(tmp_path / name, file, LINES[:4])
        return kept.folder, kept.quantized

    return made


def held(first: Path, second: Path) -> Comparison:
    return compare(measured(first), measured(second))


def test_what_flipped_is_counted_by_split_and_rule(make: Make, run: Run, tmp_path: Path) -> None:  # noqa: F811
    (one, its), (other, others) = make("one"), make("other")
    asked = {"test": STATES[:4], "uniform": STATES[4:]}
    write_figures(one, its, asked, {LINES[0], LINES[5], LINES[6]})
    write_figures(other, others, asked, {LINES[0], LINES[7]})
    found = held(one, other)
    test, uniform = found.splits
    assert (test.split, test.test.rows, test.test.both, test.test.first, test.test.second) == ("test", 4, 3, 0, 0)
    assert (uniform.first.count, uniform.second.count, uniform.test.second, uniform.test.first) == (6, 7, 2, 1)
    assert {(flip.input, flip.better) for flip in found.flips} == {
        (LINES[5], True),
        (LINES[6], True),
        (LINES[7], False),
    }
    assert sum(change.better for change in uniform.rules) == 2
    assert {change.rule for change in uniform.rules} == {rule(STATES[place]) for place in (5, 6, 7)}

    done = run("compare", one, other, "--json", "--flips", tmp_path / "flips.jsonl")
    assert done.code == 0 and json.loads(done.out)["splits"][1]["test"]["second"] == 2
    lines = [json.loads(line) for line in (tmp_path / "flips.jsonl").read_text("utf-8").splitlines()]
    assert [line["input"] for line in lines] == [flip.input for flip in found.flips]
    told = run("compare", one, other)
    assert told.code == 0 and "uniform" in told.out and f"worse {rule(STATES[7])}" in told.out


@settings(max_examples=10, deadline=None)
@given(st.sets(st.sampled_from(LINES)), st.sets(st.sampled_from(LINES)))
def test_of_certificates_the_flips_are_what_one_alone_got_wrong(
    tmp_path_factory: pytest.TempPathFactory, first: set[str], second: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    for name, wrong in (("a", first), ("b", second)):
        (folder / f"{name}.gguf").write_bytes(name.encode())
        made = make_run(folder / name, folder / f"{name}.gguf", LINES[:1])
        write_certificate(made.folder, made.quantized, STATES, wrong)
    (split,) = (found := held(folder / "a", folder / "b")).splits
    assert split.split == ALL and split.test.rows == len(STATES)
    assert {flip.input for flip in found.flips if flip.better} == first - second
    assert {flip.input for flip in found.flips if not flip.better} == second - first
    assert split.second.count - split.first.count == split.test.second - split.test.first == len(first) - len(second)


def test_other_questions_are_not_compared_and_the_reason_is_told(make: Make) -> None:
    (one, its), (other, others) = make("one"), make("other")
    write_certificate(one, its, STATES, set(), inputs="a")
    write_certificate(other, others, STATES, set(), inputs="b")
    write_figures(one, its, {"uniform": STATES}, set())
    write_figures(other, others, {"uniform": STATES[1:], "hard": STATES}, set())
    with pytest.raises(DataError, match="no questions in common") as caught:
        held(one, other)
    assert "rules were changed" in caught.value.message and "one was not asked it" in caught.value.message


def test_test_rows_that_both_hold_out_are_compared_where_the_data_differ(make: Make) -> None:
    (one, its), (other, others) = make("one"), make("other")
    rows = [{"row": row, "input": text, "output": "{}"} for row, text in enumerate(LINES[2:6])]
    (other / "data/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    counts = {"rows": 8, "train": 4, "validation": 0, "test": 4}
    finish(other / "data", {}, DataResult(**counts, refused={}, warnings=0, digests={"train": "x"}), [])
    write_figures(one, its, {"test": STATES[:4]}, {LINES[0], LINES[2]})
    write_figures(other, others, {"test": STATES[2:6]}, {LINES[5]})
    (split,) = held(one, other).splits
    assert (split.test.rows, split.test.second, split.test.first) == (2, 1, 0), "LINES[2] and LINES[3] are of both"


def test_what_was_not_measured_is_said_with_what_measures_it(make: Make, run: Run) -> None:  # noqa: F811
    (one, its), (other, _) = make("one"), make("other")
    refused(run("compare", one, other), "neither was evaluated", "drivecoach evaluate")
    write_figures(one, its, {"test": STATES}, set())
    refused(run("compare", one, other), "was not asked it")


def test_runs_that_were_scored_but_keep_no_wrong_answers_are_not_compared(make: Make) -> None:
    (one, its), (other, others) = make("one"), make("other")
    for folder, file in ((one, its), (other, others)):
        write_figures(folder, file, {"test": STATES}, set())
        for kept in folder.rglob("wrong.jsonl"):
            kept.unlink()
    with pytest.raises(DataError, match="is not kept: drivecoach evaluate"):
        held(one, other)


def test_figures_of_an_older_model_do_not_count(make: Make) -> None:
    (one, its), _ = make("one"), make("other")
    write_figures(one, its, {"test": STATES}, set())
    write_certificate(one, its, STATES, set())
    assert measured(one).figures and measured(one).certificate
    its.write_bytes(b"another")
    found = measured(one)
    assert found.figures is None and found.certificate is None and len(found.refused) == 2
