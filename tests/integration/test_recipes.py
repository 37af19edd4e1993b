"""Every shipped recipe on a tiny base of its kind: trained, broken off, resumed, merged, GGUF, answered from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivecoach.config import load_recipe
from drivecoach.export.parity import hugging_face_answers
from drivecoach.pipeline import Run
from drivecoach.runtime import open_runtime
from tests.support.recipes import QUESTIONS, TINY, tiny_base, write_rows
from tests.support.tiny_models import Kind

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"


@dataclass(frozen=True)
class Setup:
    kind: Kind
    form: str | None
    """The form of its rows; None for the driving pairs."""


SETUPS = {
    "qwen3-0.6b": Setup("qwen3", None),
    "qwen3-0.6b-qlora": Setup("qwen3", None),
    "qwen3-0.6b-think": Setup("qwen3", None),
    "qwen3-0.6b-mixed": Setup("qwen3", None),
    "gemma3-style": Setup("gemma3", "comments"),
    "qwen2-0.5b-alpaca-zh": Setup("qwen2", "alpaca"),
    "qwen3-32b-mix": Setup("qwen3", "mix"),
    "messages-jsonl": Setup("qwen3", "messages"),
}


def overrides(name: str, setup: Setup, folder: Path) -> list[str]:
    base = tiny_base(setup.kind, folder / "base")
    given = [*TINY, f"base.name={base}", "train.backend=peft"]
    if setup.form is None:
        rows = json.loads((ROOT / "datasets/driving.json").read_text(encoding="utf-8"))[:40]
        (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False))
        return [*given, f"data.path={folder / 'rows.json'}"]
    if setup.form == "mix":
        mix = json.dumps(
            [
                {
                    "path": str(write_rows("reasoning", folder / "reasoning.jsonl")),
                    "columns": {"input": "problem", "output": "generated_solution"},
                    "share": 0.75,
                },
                {"path": str(write_rows("sharegpt", folder / "chat.jsonl")), "format": "sharegpt", "share": 0.25},
            ]
        )
        return [*given, f"data.mix={mix}"]
    rows_file = write_rows(setup.form, folder / ("rows.csv" if setup.form == "comments" else "rows.jsonl"))
    return [*given, f"data.path={rows_file}", "data.source=local"]


class Broken(Exception):
    """Stands for whatever ends a run."""


def test_every_recipe_but_nano_is_run_here() -> None:
    assert {path.stem for path in RECIPES.rglob("*.yaml")} == {*SETUPS, "nano"}


@pytest.mark.parametrize("name", SETUPS)
def test_a_recipe_runs_from_rows_to_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    setup = SETUPS[name]
    recipe = load_recipe(RECIPES / f"{name}.yaml", overrides(name, setup, tmp_path))
    if recipe.train.quantize:
        pytest.importorskip("bitsandbytes")
    said: list[str] = []
    run = Run(tmp_path / "run", recipe, said.append)
    run.save_recipe()
    data = run.prepare()
    assert data.train > 8 and (data.validation > 0 or name == "qwen3-32b-mix")

    _break_after(2, monkeypatch)
    with pytest.raises(Broken):
        run.train()
    trained = run.train()
    assert "train: going on from step 2" in said
    assert trained.steps == 4 and 0 < trained.trained_parameters < trained.parameters
    assert (tmp_path / "run/train/loss.png").is_file()
    metrics = [json.loads(line) for line in (tmp_path / "run/train/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics if "loss" in line] == [1, 2, 3, 4]
    if recipe.train.best_by:
        assert trained.best is not None and trained.best.step in (2, 4)
    assert trained.forgetting is not None

    exported = run.export()
    assert set(exported.files) == {f"{recipe.export.name}-{kind}.gguf" for kind in ("f16", "q4_K_M")}
    question = QUESTIONS[0] if setup.form else run.pairs("train")[0].input
    f16 = tmp_path / "run/export" / f"{recipe.export.name}-f16.gguf"
    with open_runtime(str(f16)) as runtime:
        answer = runtime.generate(question)
    assert 0 < answer.completion_tokens <= 8
    if recipe.export.temperature == 0:
        (expected,) = hugging_face_answers(tmp_path / "run/export/merged", [run.chat.prompt(question)], 8)
        assert answer.text == expected
    _speaks_its_family(run, f16.with_name("Modelfile").read_text(encoding="utf-8"))
    scores = run.evaluate().root
    assert ("test, not thinking" in scores) == (recipe.chat.thinking == "mixed" and data.test > 0)
    assert all(part.rows == (data.test if name.startswith("test") else 20) for name, part in scores.items())


def _break_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run ends with an exception right after the checkpoint of ``step``; later ones do not."""
    from drivecoach.train.checkpoints import Seal

    whole, broken = Seal.on_save, []

    def on_save(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        whole(self, args, state, control, **rest)
        if state.global_step == step and not broken:
            broken.append(step)
            raise Broken

    monkeypatch.setattr(Seal, "on_save", on_save)


def _speaks_its_family(run: Run, modelfile: str) -> None:
    assert f"PARAMETER stop {run.chat.end}" in modelfile
    assert ("<think>" in modelfile) == (run.chat.thinking != "strip")
