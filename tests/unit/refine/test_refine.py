"""What a model gets wrong is what it learns next, round by round, and nothing that was held out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivecoach.cli.app import make_app
from drivecoach.config import RefineConfig
from drivecoach.data.prepare import read_pairs
from drivecoach.errors import RecipeError
from drivecoach.files import sha256
from drivecoach.pipeline import Run
from drivecoach.refine import run as refining
from drivecoach.refine.choose import choose
from drivecoach.refine.rounds import read_rounds
from drivecoach.refine.run import refine, refined_folder
from drivecoach.verify.certificate import certificate_of, read, read_counterexamples
from tests.support.crossing import CROSSING

SETTINGS = RefineConfig(rounds=2, pairs=90, epochs=8)


def inputs(folder: Path, name: str) -> set[str]:
    return {pair.input for pair in read_pairs(folder / "data" / f"{name}.jsonl")}


def test_what_is_drawn_is_wrong_or_nearly_and_of_many_rules(crossing: Path) -> None:
    wrong = {one.input: one for one in read_counterexamples(crossing / "verify")}
    known = inputs(crossing, "train")
    drawn = choose(CROSSING, crossing / "verify", known, 40, 1, "round 1")
    assert len({pair.input for pair in drawn}) == 40 and not {pair.input for pair in drawn} & known
    assert sum(pair.input in wrong for pair in drawn) >= 20
    lowered = [text for text, one in wrong.items() if one.lowered and text not in known]
    assert not lowered or wrong[drawn[0].input].lowered
    rules = [CROSSING.explain(CROSSING.read_input(pair.input)).rule for pair in drawn]
    assert len(set(rules)) >= 3
    for pair in drawn:
        assert pair.source == "round 1"
        assert pair.output == CROSSING.write_answer(CROSSING.teach(CROSSING.read_input(pair.input)))
    assert choose(CROSSING, crossing / "verify", known, 40, 1, "round 1") == drawn
    assert len(choose(CROSSING, crossing / "verify", known, 1000, 1, "r")) == 216 - len(known)


def test_rounds_go_on_until_little_is_wrong_and_leave_the_run_as_it_was(
    crossing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "crossing"
    shutil.copytree(crossing, folder)
    before = {path: sha256(path) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    said: list[str] = []
    parent = Run.open(folder, said.append)
    with monkeypatch.context() as patched:  # killed after the first round's training
        patched.setattr(Run, "export", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            refine(parent, SETTINGS, said.append)
    run, record = refine(parent, SETTINGS, said.append)
    assert said.count("train: unchanged, skipped") == 1
    assert {path: sha256(path) for path in before} == before
    refined = refined_folder(folder)
    assert run.folder == refined and record == read_rounds(refined) and record.finished
    first, *others = record.rounds
    assert (first.round, first.wrong, first.pairs) == (0, read(folder / "verify").wrong, 60)
    assert sum(one.added for one in others) <= 90 and others[-1].verified
    kept = record.rounds[record.kept]
    assert kept.wrong < first.wrong / 2
    certificate = certificate_of(run.quantized)
    assert certificate is not None and certificate.wrong == kept.wrong and kept.model == sha256(run.quantized)
    held_out = inputs(folder, "validation") | inputs(folder, "test")
    for name in ("validation", "test"):
        assert inputs(refined, name) == inputs(folder, name)
    train = list(read_pairs(refined / "data" / "train.jsonl"))
    drawn = [pair for number in range(1, record.kept + 1) for pair in read_pairs(refined / f"rounds/{number}.jsonl")]
    assert [pair.input for pair in train if pair.source] == [pair.input for pair in drawn]
    assert {pair.input for pair in train if not pair.source} == inputs(folder, "train")
    assert not {pair.input for pair in train} & held_out
    assert sorted(path.name for path in (refined / "rounds").iterdir()) == ["1.jsonl", "2.jsonl"]
    said.clear()
    assert refine(Run.open(folder, said.append), SETTINGS, said.append)[1] == record
    assert not [text for text in said if text.startswith(("train", "export", "verify"))]
    told = CliRunner().invoke(make_app(), ["refine", str(folder), "--rounds", "2", "--pairs", "90", "--json"])
    assert told.exit_code == (3 if kept.wrong else 0), told.output
    shown = json.loads(told.stdout)
    assert shown["run"] == str(refined) and shown["rounds"] == record.model_dump(mode="json")["rounds"]
    assert (refined / "evaluate" / "manifest.json").is_file()  # by which a deployment is judged

    manifest = folder / "train" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "inputs": {"other": 1}}))
    with pytest.raises(RecipeError, match="refined from another training"):
        refine(Run.open(folder, said.append), SETTINGS, said.append)


def test_a_round_that_makes_it_worse_is_not_kept(
    crossing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "crossing"
    shutil.copytree(crossing, folder)
    good = read(folder / "verify")
    bad = good.model_copy(update={"wrong": good.wrong + 1, "lowered": good.lowered + 1})
    monkeypatch.setattr(Run, "train", lambda self: None)
    monkeypatch.setattr(Run, "export", lambda self: None)
    monkeypatch.setattr(refining, "scan", lambda *_: pytest.fail("the last round looks at all"))
    monkeypatch.setattr(refining, "_verified", lambda run, say: good if run.folder == folder else bad)
    said: list[str] = []
    run, record = refine(Run.open(folder, said.append), RefineConfig(rounds=1, pairs=4), said.append)
    assert record.kept == 0 and run.folder == folder and "stays what it was" in said[-1]
