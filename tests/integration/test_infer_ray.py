"""The per-batch function under Ray Data, on a local cluster of two workers: partitioned Parquet in and out."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ray", reason="drivecoach[ray] is not installed")

import pyarrow as pa
import ray
from pyarrow import parquet

from drivecoach.batch.ray import run_on_ray
from drivecoach.batch.run import Settings
from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DataError
from tests.support import driving
from tests.support.scripted_model import write_scripted_gguf

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'


def test_two_workers_answer_every_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivecoach.batch.ray.BATCH", 50)  # a batch for each partition, so that both have work
    model = write_scripted_gguf(tmp_path / "m.gguf", ANSWER, chat=Chat(DRIVING.system))
    states = driving.states(200)
    parts = tmp_path / "in"
    parts.mkdir()
    for part in range(4):
        rows = [{"input": DRIVING.write_input(state)} for state in states[part::4]]
        parquet.write_table(pa.Table.from_pylist(rows), parts / f"{part}.parquet")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    try:
        summary = run_on_ray(parts, tmp_path / "out", "driving", Settings(str(model), guard="replace"), workers=2)
    finally:
        ray.shutdown()
    assert (summary.rows, summary.valid, summary.workers) == (len(states), len(states), 2)
    found = {row["input"]: row for row in parquet.read_table(tmp_path / "out").to_pylist()}
    assert found.keys() == {DRIVING.write_input(state) for state in states}
    answer = DRIVING.read_answer(ANSWER)
    for state in states:
        row = found[DRIVING.write_input(state)]
        assert row["source"] == ("rules" if DRIVING.violations(state, answer) else "model")
    with pytest.raises(DataError, match="not empty"):
        run_on_ray(parts, tmp_path / "out", "driving", Settings(str(model)))
