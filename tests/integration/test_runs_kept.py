"""Runs are never lost: a used name is refused or replaced aside, stale stages are named, and runs are listed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivecoach.export.ledger import Deployment, end, record, scores_of
from drivecoach.files import sha256
from drivecoach.lock import LOCK
from drivecoach.quiet import LOG
from tests.support.command import Run

pytest.importorskip("trl")

Change = Callable[[Path], None]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOCK
    }


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def trained_anew(folder: Path) -> None:
    """As if the weights were of a later training than the export."""
    manifest = folder / "runs/r/train/manifest.json"
    edit(manifest, results={**json.loads(manifest.read_text(encoding="utf-8"))["results"], "steps": 5})


def other_rows(folder: Path) -> None:
    (folder / "rows.jsonl").write_text(
        (folder / "rows.jsonl").read_text(encoding="utf-8").replace("回答 3", "答案 3"), encoding="utf-8"
    )


def unfinished(folder: Path) -> None:
    train = folder / "runs/r/train"
    (train / "manifest.json").unlink()
    shutil.rmtree(train / "model")
    (train / "checkpoints/checkpoint-2").mkdir(parents=True)


def unknown(folder: Path) -> None:
    (folder / "runs/r/train/manifest.json").write_text("{", encoding="utf-8")
    (folder / "runs/r/train/inputs.json").unlink()


@pytest.mark.parametrize(
    ("settings", "change", "said"),
    [
        (["train.max_steps=5"], None, ["a finished training of 4 steps", "train.max_steps: 4 -> 5"]),
        (["base.nano.layers=2", "data.test=0.2"], None, ["base.nano.layers: 1 -> 2", "data.test: 0.1 -> 0.2"]),
        (["chat.system=x"], None, ['system: "" -> "x"']),
        ([], other_rows, ["data.sha256: "]),
        (["train.seed=1"], unfinished, ["an unfinished training of 2 steps", "train.seed: 3407 -> 1"]),
        ([], unknown, ["nothing readable"]),
    ],
)
@pytest.mark.parametrize("verb", ["tune", "train"])
def test_another_training_under_a_used_name_is_refused(
    verb: str, settings: list[str], change: Change | None, said: list[str], here: Path, run: Run
) -> None:
    if change:
        change(here)
    before = contents(here)
    result = run(verb, "r.yaml", *(word for setting in settings for word in ("--set", setting)))
    assert result.code == 1
    assert all(text in result.err for text in [*said, "which would be lost", "--set name=r-2", "--replace"])
    assert contents(here) == before


@pytest.mark.parametrize(
    ("setting", "stale"),
    [
        ("train.keep_checkpoints=true", {}),
        ("train.logging_steps=2", {}),
        ("export.num_predict=5", {"export": "export.num_predict: 4 -> 5"}),
    ],
)
def test_what_leaves_the_weights_alone_is_allowed_and_trains_nothing(
    setting: str, stale: dict[str, str], here: Path, run: Run
) -> None:
    weights = contents(here / "runs/r/train")
    result = run("train", "r.yaml", "--set", setting)
    assert result.code == 0, result.err
    assert "train: unchanged, skipped" in result.out
    assert contents(here / "runs/r/train") == weights
    assert json.loads(run("runs", "--json").out)[0]["stale"] == stale


def test_only_the_later_stages_are_made_again(here: Path, run: Run) -> None:
    result = run("tune", "r.yaml", "--set", "evaluate.rows=2")
    assert [line for line in result.out.splitlines() if "unchanged" in line] == [
        f"{stage}: unchanged, skipped" for stage in ("data", "train", "export")
    ]
    assert "test (2 inputs)" in result.out
    rows = (here / "rows.jsonl").read_text(encoding="utf-8")
    (here / "rows.jsonl").write_text("\n" + rows, encoding="utf-8")  # another file with the very same pairs
    again = run("tune", "r.yaml", "--set", "evaluate.rows=2")
    assert again.code == 0, again.err
    assert "data: 60 rows checked" in again.out and "train: unchanged, skipped" in again.out
    assert not list(here.glob("runs/*~*")) and not list(here.glob("runs/r/*~*"))


class Broken(Exception):
    """Stands for whatever ends a run."""


def test_a_replacement_is_made_aside_and_takes_the_place_when_it_is_whole(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivecoach.train.checkpoints import Seal

    place = here / "runs/r"
    (place / "deployed.json").write_text("[]", encoding="utf-8")
    before = contents(place)
    whole = Seal.on_save

    def on_save(self: Any, *arguments: Any, **rest: Any) -> None:
        whole(self, *arguments, **rest)
        raise Broken

    command = ["tune", "r.yaml", "--set", "train.max_steps=6", "--replace", "--json"]
    monkeypatch.setattr(Seal, "on_save", on_save)
    with pytest.raises(Broken):
        run(*command)
    monkeypatch.setattr(Seal, "on_save", whole)
    meanwhile = contents(place)
    meanwhile.pop(LOG, None)  # what was said until the new run takes the place
    assert meanwhile == before, "the old run can be asked, served and scored meanwhile"
    assert run("runs", "--json").code == 0
    other = run("train", "r.yaml", "--set", "train.max_steps=7", "--replace")
    assert other.code == 1 and "train.max_steps: 6 -> 7" in other.err and "rm -r runs/r~new" in other.err

    done = run(*command)
    assert done.code == 0, done.err
    assert "train: going on from step 2" in done.err and "replace: runs/r is the new run" in done.err
    assert json.loads(done.out)["run"] == "runs/r" and json.loads(done.out)["train"]["steps"] == 6
    assert sorted(path.name for path in place.parent.iterdir()) == ["r"]
    assert (place / "deployed.json").is_file()
    assert "train: unchanged, skipped" in run(*command).err, "nothing is left to replace"


def test_a_run_named_by_an_override_lies_beside_the_other(here: Path, run: Run) -> None:
    before = contents(here / "runs/r")
    result = run("train", "r.yaml", "--set", "name=trial", "--set", "train.max_steps=1")
    assert result.code == 0, result.err
    assert contents(here / "runs/r") == before
    kept = json.loads((here / "runs/trial/recipe.json").read_text(encoding="utf-8"))
    assert (kept["name"], kept["export"]["name"]) == ("trial", "trial")


@pytest.mark.parametrize("model", ["runs/r", "runs/r/export/r-f16.gguf"])
def test_every_verb_that_reads_a_stale_stage_says_so(model: str, here: Path, run: Run) -> None:
    from drivecoach.cli.ask import model_path

    (here / "in.txt").write_text("问题 1\n", encoding="utf-8")
    verbs: list[tuple[str, ...]] = [("ask", "问题 1", "--model", model), ("infer", "in.txt", "-o", "o.jsonl")]
    verbs[1] += ("--model", model)
    if model == "runs/r":
        verbs += [("evaluate", model), ("deploy", model)]
    for verb in verbs:
        assert "stale" not in run(*verb).err, verb
    trained_anew(here)
    for verb in verbs:
        said = run(*verb).err
        assert "note: runs/r: export is stale: the train stage was made anew" in said.replace(f"{here}/", ""), verb
        assert "drivecoach export" in said
    assert model_path(model).endswith("r-f16.gguf"), "which `serve` calls too"


def test_a_gguf_of_an_earlier_export_and_one_of_no_run(here: Path, run: Run) -> None:
    export = here / "runs/r/export"
    shutil.copyfile(export / "r-f16.gguf", export / "old-f16.gguf")
    assert "old-f16.gguf is not of the last export" in run("ask", "问题 1", "--model", export / "old-f16.gguf").err
    shutil.copyfile(export / "r-f16.gguf", here / "alone.gguf")
    assert run("ask", "问题 1", "--model", "alone.gguf").err == ""


def test_rows_that_changed_make_the_data_stale(here: Path, run: Run) -> None:
    other_rows(here)
    assert "data is stale: data.sha256: " in run("evaluate", "runs/r").err
    (here / "rows.jsonl").unlink()
    assert "stale" not in run("evaluate", "runs/r").err, "nobody can tell"


def test_runs_are_listed_with_all_that_is_known_of_them(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made = Deployment(
        name="gone", host="http://box:11434", digest="1" * 64, date=day, file="0" * 64, scores={}, previous=None
    )
    record(here / "runs/r", made)
    end(here / "runs", made.name, made.host)
    record(here / "runs/r", made.model_copy(update={"name": "goDrive"}))
    trained_anew(here)
    for name, recipe in {"empty": "", "torn": "{", "list": "[]", "bytes": "\udcff"}.items():
        (here / "runs" / name).mkdir()
        (here / "runs" / name / "recipe.json").write_bytes(recipe.encode("utf-8", "surrogateescape"))
    shutil.copytree(here / "runs/r", here / "runs/damaged")
    for stage in ("data", "train", "export", "evaluate"):
        (here / f"runs/damaged/{stage}/manifest.json").write_text('{"inputs": 7}', encoding="utf-8")
    (here / "runs/damaged/train/inputs.json").write_text("[", encoding="utf-8")
    (here / "runs/damaged/deployed.json").write_text("7", encoding="utf-8")
    (here / "runs/a file").write_text("", encoding="utf-8")
    (here / "runs/refused").mkdir()
    (here / "runs/refused/run.log").write_text("--- train recipe.yaml", encoding="utf-8")  # which makes no run of it

    listed = {Path(entry["folder"]).name: entry for entry in json.loads(run("runs", "--json").out)}
    assert set(listed) == {"r", "empty", "torn", "list", "bytes", "damaged"}
    for name in set(listed) - {"r"}:
        assert listed[name]["state"].startswith("broken: "), name
    entry = listed["r"]
    assert (entry["base"], entry["rows"], entry["state"], entry["parent"]) == ("nano", 46, "finished", None)
    assert entry["date"].startswith("20") and set(entry["scores"]) == {"test"}
    (exported,) = (here / "runs/r/export").glob("*.gguf")
    known = scores_of(here / "runs/r", sha256(exported))
    assert {name: score.right for name, score in known.items()} == entry["scores"], "what deploying goes by"
    assert entry["deployed"] == ["goDrive on http://box:11434 (older weights)"]
    assert entry["stale"] == {"export": "the train stage was made anew"}
    table = run("runs").out
    assert all(text in table for text in ("nano", "test 0.00%", "goDrive on", "stale: export", "broken: runs/torn"))
    monkeypatch.setenv("COLUMNS", "80")
    assert "…" not in run("runs").out, "a word that is too long is folded, not cut off"
    assert run("runs", "--runs", "nowhere").out.startswith("no runs in nowhere")
    assert json.loads(run("runs", "--runs", "nowhere", "--json").out) == []


def test_checkpoints_can_be_kept(here: Path, run: Run) -> None:
    words = ["train", "r.yaml", "--set", "name=kept", "--set", "train.keep_checkpoints=true"]
    assert run(*words).code == 0
    kept = here / "runs/kept/train/checkpoints"
    assert {path.name for path in kept.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert run("train", "r.yaml", "--set", "name=kept").code == 0
    assert kept.is_dir(), "what was kept is not removed by a later command"


def test_checkpoints_stay_until_the_stage_is_complete(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(*_: object) -> None:
        raise Broken

    words = ["train", "r.yaml", "--set", "name=new"]
    with monkeypatch.context() as broken, pytest.raises(Broken):
        broken.setattr("drivecoach.train.trainer._result", finish)  # after the weights are saved
        run(*words)
    assert list((here / "runs/new/train/checkpoints").iterdir())
    done = run(*words)
    assert done.code == 0 and "train: going on from step 4" in done.out


@pytest.mark.parametrize(
    ("shares", "rows", "said"),
    [
        (["data.test=0"], "held-out validation rows", "there are no test rows"),
        (["data.test=0", "data.validation=0"], "training rows", "there are no test rows"),
    ],
)
def test_a_run_without_test_rows_says_so(shares: list[str], rows: str, said: str, here: Path, run: Run) -> None:
    settings = [*shares, "name=bare", "export.parity_states=3"]
    result = run("tune", "r.yaml", "--examples", "1", *(word for setting in settings for word in ("--set", setting)))
    assert result.code == 0, result.err
    assert said in result.out and f"of 3 {rows} as the merged model does" in result.out and f"1 {rows}:" in result.out
    assert ("held-out" in result.out) == (rows != "training rows")
    assert ("training inputs" in result.out) == (rows == "training rows")
