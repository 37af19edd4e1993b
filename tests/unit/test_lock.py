"""One writer a run folder, who is named; a killed one holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drivecoach.errors import StorageError
from drivecoach.files import replace_folder, restore_folder
from drivecoach.lock import LOCK, holder, locked
from tests.integration.test_kill_resume import ROOT, make_recipe
from tests.support.command import Run, run

__all__ = ["run"]

HOLD = """
import sys, time
from pathlib import Path
from drivecoach.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_is_told_who_the_first_is_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "runs/r"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    found = holder(folder)
    assert found is not None and found.pid == other.pid
    with pytest.raises(StorageError, match=f"in use by process {other.pid} on .* since 20") as caught, locked(folder):
        pass
    assert "wait" in caught.value.hint
    other.kill()
    other.wait()
    assert holder(folder) is None
    with locked(folder):
        found = holder(folder)
        assert found is not None and found.pid == os.getpid()
    assert holder(folder) is None


def test_one_process_cannot_hold_a_folder_twice_and_an_error_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        with pytest.raises(StorageError, match=f"process {os.getpid()}"), locked(tmp_path):
            pass
        raise KeyError
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\0" * 9])
def test_a_holder_that_cannot_be_read_is_another_process(text: str, tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK).write_text(text)
        with pytest.raises(StorageError, match="in use by another process"), locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not write"), locked(tmp_path / "file"):
        pass


@pytest.mark.parametrize("verb", ["tune", "train", "export", "evaluate"])
def test_every_verb_that_writes_waits_for_nobody(verb: str, run: Run, tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    (tmp_path / "r.yaml").write_text(recipe.model_dump_json(exclude={"parent"}), encoding="utf-8")
    (tmp_path / "runs/r").mkdir(parents=True)
    (tmp_path / "runs/r/recipe.json").write_text(recipe.model_dump_json(), encoding="utf-8")
    with locked(tmp_path / "runs/r"):
        result = run(verb, "r.yaml" if verb in ("tune", "train") else "runs/r")
        assert result.code == 1 and f"runs/r is in use by process {os.getpid()}" in result.err
    assert sorted(path.name for path in (tmp_path / "runs/r").iterdir()) == [LOCK, "recipe.json"]


def test_a_training_that_another_command_walks_in_on_goes_on(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    recipe = make_recipe(tmp_path, max_steps=5000, checkpoint_steps=5)
    (tmp_path / "r.yaml").write_text(recipe.model_dump_json(exclude={"parent"}), encoding="utf-8")
    command = [sys.executable, "-m", "drivecoach", "train", "r.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        checkpoints = tmp_path / "runs/r/train/checkpoints"
        limit = time.monotonic() + 300
        while not list(checkpoints.glob("checkpoint-*/complete.json")) and time.monotonic() < limit:
            assert first.poll() is None
            time.sleep(0.02)
        second = run("train", "r.yaml")
        assert second.code == 1 and f"in use by process {first.pid}" in second.err
        assert f'"state": "in use: process {first.pid} on ' in run("runs", "--json").out
        before = max(int(path.name[11:]) for path in checkpoints.glob("checkpoint-*"))
        while max(int(path.name[11:]) for path in checkpoints.glob("checkpoint-*")) == before:
            assert first.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
    finally:
        first.kill()
        first.wait()
    assert "unfinished" in run("runs", "--json").out


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    old, new = tmp_path / "r", tmp_path / "r~new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "weights").write_text(text)
    old.rename(tmp_path / "r~old")  # killed between the two renames
    restore_folder(old)
    assert (old / "weights").read_text() == "old"
    replace_folder(new, old)
    assert (old / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    restore_folder(old)
    with pytest.raises(StorageError, match="could not put"):
        replace_folder(new, old)
    assert (old / "weights").read_text() == "new"
