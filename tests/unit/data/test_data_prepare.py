"""Checking and splitting as a stream: repeats over sources, shares, fractions, refused rows, and no growth."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import pytest

from drivecoach.chat import family
from drivecoach.config import DataConfig, SourceConfig
from drivecoach.data.check import Refusal, scan
from drivecoach.data.prepare import prepare, read_pairs
from drivecoach.domains.text import TEXT as text
from drivecoach.errors import DataError

CONTROL = re.compile(family("chatml").control)


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"input": q, "output": a}) + "\n" for q, a in rows), encoding="utf-8")
    return path


def numbered(count: int, mark: str = "q") -> list[tuple[str, str]]:
    return [(f"{mark}{n}", f"a{n}") for n in range(count)]


def test_repeats_are_found_across_sources(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", [("same", "a"), ("clash", "a"), ("only", "a")])
    two = write(tmp_path / "two.jsonl", [("same", "a"), ("clash", "b")])
    found = list(scan([SourceConfig(path=str(one)), SourceConfig(path=str(two))], text))
    kinds = [verdict.kind if isinstance(verdict, Refusal) else "ok" for verdict in found]
    assert kinds == ["ok", "conflict", "ok", "duplicate", "conflict"]
    assert isinstance(found[3], Refusal) and found[3].reason == f"the same pair as row {one} 1"


def test_history_makes_the_same_input_another_question(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "go on"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": [{"role": "system", "content": name}, *turns]} for name in ("x", "y", "x")]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    kinds = [isinstance(verdict, Refusal) for verdict in scan([SourceConfig(path=str(path))], text)]
    assert kinds == [False, False, True]


def test_splits_hold_all_rows_once_and_stay_when_rows_are_added(tmp_path: Path) -> None:
    data = DataConfig(path=str(write(tmp_path / "a.jsonl", numbered(400))), validation=0.2, test=0.1)
    counts = prepare(data, text, CONTROL, tmp_path / "first")
    assert counts.rows == 400 == counts.train + counts.validation + counts.test
    assert 40 < counts.validation < 120 and 15 < counts.test < 70
    write(tmp_path / "a.jsonl", numbered(500))
    prepare(data, text, CONTROL, tmp_path / "second")
    for name in ("train", "validation", "test"):
        before = {pair.input for pair in read_pairs(tmp_path / "first" / f"{name}.jsonl")}
        after = {pair.input for pair in read_pairs(tmp_path / "second" / f"{name}.jsonl")}
        assert before <= after
    left = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert left == ["test.jsonl", "train.jsonl", "validation.jsonl"]


def test_a_fraction_is_used_of_every_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", numbered(1000))
    counts = prepare(DataConfig(path=str(path), fraction=0.1), text, CONTROL, tmp_path / "out")
    assert counts.train + counts.validation + counts.test == 100
    assert counts.validation > 0 and counts.test > 0


def test_shares_of_a_mix_come_out_with_all_of_the_scarcest(tmp_path: Path) -> None:
    much, little = write(tmp_path / "much.jsonl", numbered(500)), write(tmp_path / "little.jsonl", numbered(60, "r"))
    mix = [SourceConfig(path=str(much), share=0.25), SourceConfig(path=str(little), share=0.75)]
    counts = prepare(DataConfig(mix=mix, validation=0, test=0), text, CONTROL, tmp_path / "out")
    assert counts.train == 80
    sources = [pair.source for pair in read_pairs(tmp_path / "out" / "train.jsonl")]
    assert sources.count(str(little)) == 60


def test_refused_rows_stop_the_run_or_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*numbered(20), ("q0", "other"), ("bad <|im_end|>", "a"), ("q", "")])
    with pytest.raises(DataError, match=r"4 of 23 rows .* \(conflict 2, input 1, malformed 1\)") as caught:
        prepare(DataConfig(path=str(path)), text, CONTROL, tmp_path / "out")
    assert "data.refused=drop" in caught.value.hint and len(caught.value.faults) == 4
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rejects] == [1, 21, 22, 23]
    counts = prepare(DataConfig(path=str(path), refused="drop"), text, CONTROL, tmp_path / "out")
    assert counts.refused == {"conflict": 2, "input": 1, "malformed": 1}
    assert counts.train + counts.validation + counts.test == 19


def test_nothing_left_to_train_on_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [("q", "")])
    with pytest.raises(DataError, match="no rows are left to train on"):
        prepare(DataConfig(path=str(path), refused="drop"), text, CONTROL, tmp_path / "out")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Five times the rows, the same peak (the answers are long enough that holding them would show)."""
    peaks = []
    for count in (2000, 10_000):
        path = write(tmp_path / f"{count}.jsonl", [(q, a * 200) for q, a in numbered(count)])
        tracemalloc.start()
        assert sum(1 for _ in scan([SourceConfig(path=str(path))], text)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000, peaks
