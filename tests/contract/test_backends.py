"""One contract for both training backends, each really run, in its own process (Unsloth changes TRL)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from drivecoach.config import load_recipe
from tests.support.recipes import TINY, tiny_base, write_rows

ROOT = Path(__file__).parents[2]

DRIVER = """
import json, sys
from pathlib import Path
from drivecoach.config import Recipe
from drivecoach.pipeline import Run
said = []
run = Run(Path(sys.argv[1]), Recipe.model_validate_json(sys.argv[2]), said.append)
run.save_recipe()
run.prepare()
class Broken(Exception): pass
import drivecoach.train.fit as fit
fit.choose_backend(run.recipe.train.backend)
from drivecoach.train.checkpoints import Seal
whole = Seal.on_save
def on_save(self, args, state, control, **rest):
    whole(self, args, state, control, **rest)
    raise Broken
Seal.on_save = on_save
try:
    run.train()
except Broken:
    Seal.on_save = whole
trained = run.train()
print(json.dumps({"said": said, "trained": trained, "exported": run.export(), "unsloth": "unsloth" in sys.modules}))
"""

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="drivecoach[qlora] is not installed")
UNSLOTH = [
    pytest.mark.unsloth,
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the extra drivecoach[unsloth] is not installed"),
]
BACKENDS = [
    ("peft", None),
    pytest.param("unsloth", None, marks=UNSLOTH),
    pytest.param("unsloth", "4bit", marks=[*UNSLOTH, needs_bitsandbytes]),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("backends")
    base = tiny_base("qwen3", folder / "base")
    rows = write_rows("messages", folder / "rows.jsonl")
    recipe = [*TINY, f"base.name={base}", f"data.path={rows}", "export.quantizations=[f16]", "train.lora.dropout=0"]
    return {"folder": folder, "recipe": recipe, "losses": {}}


@pytest.mark.parametrize(("backend", "quantize"), BACKENDS)
def test_a_backend_trains_resumes_and_is_exported(backend: str, quantize: str | None, made: dict[str, Any]) -> None:
    pytest.importorskip("trl")
    settings = [*made["recipe"], f"train.backend={backend}", f"train.quantize={quantize or 'null'}"]
    recipe = load_recipe(ROOT / "recipes/messages-jsonl.yaml", settings)
    folder = made["folder"] / f"{backend}-{quantize}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}
    command = [sys.executable, "-c", DRIVER, str(folder), recipe.model_dump_json()]
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert results["unsloth"] == (backend == "unsloth")
    assert "train: going on from step 2" in results["said"]
    trained = results["trained"]
    assert trained["steps"] == 4 and trained["fitted"] == "adapter" and trained["best_step"] in (2, 4)
    assert (folder / "train/adapter/adapter_model.safetensors").is_file()
    assert not list(folder.rglob("*.bin")) and not list((folder / "train").glob("checkpoints/*"))
    assert results["exported"]["agreement"]["with_merged_model"]["chat-f16.gguf"] >= 0.9  # ties within rounding
    metrics = [json.loads(line) for line in (folder / "train/metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in metrics if "loss" in line]
    assert len(losses) == 4
    made["losses"][backend] = losses
    # An adapter does nothing at first: the same rows, the same masks and the same order give the same first loss, but
    # for what 4 bits take off the base.
    assert losses[0] == pytest.approx(made["losses"]["peft"][0], rel=2e-2 if quantize else 2e-3)


def test_auto_takes_plain_peft_where_unsloth_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.train.fit import choose_backend

    monkeypatch.setitem(sys.modules, "unsloth", None)
    monkeypatch.delitem(sys.modules, "drivecoach.train.unsloth_backend", raising=False)
    said: list[str] = []
    assert choose_backend("auto", said.append).NAME == "peft"
    assert "Unsloth cannot be used here" in said[0]


def test_a_backend_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.errors import TrainError
    from drivecoach.train.fit import choose_backend

    monkeypatch.setitem(sys.modules, "unsloth", None)
    monkeypatch.delitem(sys.modules, "drivecoach.train.unsloth_backend", raising=False)
    with pytest.raises(TrainError, match="backend unsloth cannot be used") as caught:
        choose_backend("unsloth")
    assert "drivecoach[unsloth]" in caught.value.hint


@pytest.mark.parametrize("found", [None, "0.8.5"])
def test_a_tracker_that_is_missing_or_too_new_is_named_before_anything_is_loaded(
    found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivecoach.chat import Chat
    from drivecoach.errors import TrainError
    from drivecoach.train import fit as module

    def version(name: str) -> str:
        if found is None or name != "swanlab":
            raise module.PackageNotFoundError
        return found

    monkeypatch.setattr(module, "version", version)
    recipe = load_recipe(ROOT / "recipes/nano.yaml", ["train.report_to=[mlflow, swanlab]"])
    with pytest.raises(TrainError, match=r"mlflow, swanlab<0\.8") as caught:
        module.fit(recipe, Chat(""), [], [], tmp_path)
    assert caught.value.hint == "pip install 'mlflow' 'swanlab<0.8'"
