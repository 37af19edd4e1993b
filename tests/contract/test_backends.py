"""One contract for every training backend, each really run, Unsloth in a process of its own (it changes TRL)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from drivecoach.config import Recipe, load_recipe
from drivecoach.errors import RecipeError
from drivecoach.pipeline import Run
from drivecoach.train.backend import BACKENDS
from tests.support.recipes import TINY, tiny_base, write_rows

ROOT = Path(__file__).parents[2]
Backends = tuple[tuple[str, str | None], ...]
"""Names, each with what the base is quantized to."""

DRIVER = """
import json, sys
from pathlib import Path
from drivecoach.config import ParentConfig, Recipe
from drivecoach.pipeline import Run
from drivecoach.stage import identity
from drivecoach.train.backend import choose_backend
class Broken(Exception): pass

def results(folder, recipe):
    said = []
    run = Run(folder, recipe, said.append)
    run.save_recipe()
    run.prepare()
    choose_backend(run.recipe)
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
    parent = ParentConfig(run=str(run.folder), fingerprint=identity(run.folder / "train"))
    settings = {"max_steps": 1, "learning_rate": 1e-12, "warmup_steps": 0}
    recipe = run.recipe.model_copy(update={"parent": parent, "train": run.recipe.train.model_copy(update=settings)})
    child = Run(run.folder.with_name(run.folder.name + "-2"), recipe, said.append)
    child.prepare()
    made = {"child": child.train(), "trained": trained, "exported": run.export()}
    found = {name: result.model_dump() for name, result in made.items()}
    return {"said": said, **found, "unsloth": "unsloth" in sys.modules}

for folder, recipe in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    found = results(Path(folder), Recipe.model_validate_json(recipe))
    Path(folder, "found.json").write_text(json.dumps(found), encoding="utf-8")
"""

needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="drivecoach[qlora] is not installed")
UNSLOTH = [
    pytest.mark.unsloth,
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the extra drivecoach[unsloth] is not installed"),
]
NANO = json.dumps({"hidden_size": 32, "layers": 1, "heads": 1, "kv_heads": 1, "head_dim": 16, "intermediate_size": 32})
CASES = [
    ("nano", None),
    ("peft", None),
    pytest.param("unsloth", None, marks=UNSLOTH),
    pytest.param("unsloth", "4bit", marks=[*UNSLOTH, needs_bitsandbytes]),
]
PLAIN = (("nano", None), ("peft", None))
WITH_UNSLOTH = (("unsloth", None), ("unsloth", "4bit"))[: 1 if find_spec("bitsandbytes") is None else 2]
"""What is trained in one process."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Backends], Path]:
    """Trains with these backends in a process of their own, once, and gives the folder of their runs."""
    folder = tmp_path_factory.mktemp("backends")
    base = tiny_base("qwen3", folder / "base")
    rows = write_rows("messages", folder / "rows.jsonl")
    tiny = [*TINY, f"base.name={base}", f"data.path={rows}", "export.quantizations=[f16]", "train.lora.dropout=0"]

    @cache
    def train(backends: Backends) -> Path:
        words = []
        for backend, quantize in backends:
            settings = [*tiny, f"train.quantize={quantize or 'null'}"]
            nano = ["base.source=nano", f"base.nano={NANO}", "train.lora=null"]
            settings += nano if backend == "nano" else [f"train.backend={backend}"]
            recipe = load_recipe(ROOT / "recipes/messages-jsonl.yaml", settings)
            words += [str(folder / f"{backend}-{quantize}"), recipe.model_dump_json()]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "UNSLOTH_DISABLE_STATISTICS": "1"}
        command = [sys.executable, "-c", DRIVER, *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr[-3000:]
        return folder

    return train


@pytest.mark.parametrize(("backend", "quantize"), CASES)
def test_a_backend_trains_resumes_and_is_exported(
    backend: str, quantize: str | None, made: Callable[[Backends], Path]
) -> None:
    pytest.importorskip("trl")
    folder = made(WITH_UNSLOTH if backend == "unsloth" else PLAIN) / f"{backend}-{quantize}"
    results = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    nano = backend == "nano"
    assert results["unsloth"] == (backend == "unsloth")
    assert "train: going on from step 2" in results["said"]
    trained = results["trained"]
    assert trained["steps"] == 4 and trained["best"]["step"] in (2, 4)
    assert trained["fitted"] == ("model" if nano else "adapter")
    weights = "model/model.safetensors" if nano else "adapter/adapter_model.safetensors"
    assert (folder / "train" / weights).is_file()
    assert (trained["forgetting"] is None) == nano, "only a base that knows something can forget"
    assert (folder / "train/forgetting.json").exists() != nano
    assert not list(folder.rglob("*.bin")) and not list((folder / "train").glob("checkpoints/*"))
    # Its child, at a rate of nothing, is as good as it is on the rows that both held out.
    child, best = results["child"], min(line["eval_loss"] for line in _metrics(folder) if "eval_loss" in line)
    assert child["steps"] == 1 and child["validation_loss"] == pytest.approx(best, rel=1e-2 if quantize else 1e-4)
    assert child["trained_parameters"] == trained["trained_parameters"]
    same = results["exported"]["agreement"]["with_merged_model"]
    assert same["messages-jsonl-f16.gguf"] >= 7 / 8  # of 8 held-out rows, one tie within rounding
    losses = [line["loss"] for line in _metrics(folder) if "loss" in line]
    assert len(losses) == 4
    if backend != "unsloth":
        return
    # An adapter does nothing at first: the same rows, the same masks and the same order give the same first loss, but
    # for what 4 bits take off the base.
    (first, *_) = [line["loss"] for line in _metrics(made(PLAIN) / "peft-None") if "loss" in line]
    assert losses[0] == pytest.approx(first, rel=2e-2 if quantize else 2e-3)


def _metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "train/metrics.jsonl").read_text().splitlines()]


def _asking_for(backend: str) -> Recipe:
    return load_recipe(ROOT / "recipes/messages-jsonl.yaml", [f"train.backend={backend}"])


@pytest.mark.parametrize("name", [name for name in BACKENDS.names() if name != "unsloth"])
def test_a_shipped_backend_goes_by_the_name_it_has_in_recipes(name: str) -> None:
    backend = BACKENDS.load(name)
    assert name == backend.NAME


def test_nano_brings_its_own_backend_and_several_processes_take_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.train.backend import choose_backend

    nano = load_recipe(ROOT / "recipes/nano.yaml", ["train.backend=auto"])
    assert choose_backend(nano).NAME == "nano"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_backend(_asking_for("auto")).NAME == "peft"


@pytest.mark.parametrize("name", ["pfet", "nano"])
def test_a_backend_that_nobody_has_is_named_before_anything_starts(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"no '{name}'") as caught:
        Run(tmp_path / "run", _asking_for(name))
    assert "auto, peft, unsloth" in caught.value.hint and "base.source: nano" in caught.value.hint


def test_an_installed_package_may_bring_a_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.metadata import EntryPoint

    from drivecoach.train.backend import choose_backend

    entry = EntryPoint("mine", "drivecoach.train.peft_backend", "drivecoach.backends")
    monkeypatch.setattr("drivecoach.registry.entry_points", lambda group: [entry] if group == entry.group else [])
    recipe = _asking_for("mine")
    Run(tmp_path / "run", recipe)
    assert choose_backend(recipe).NAME == "peft"


def test_auto_takes_plain_peft_where_unsloth_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.train.backend import choose_backend

    monkeypatch.setitem(sys.modules, "unsloth", None)
    monkeypatch.delitem(sys.modules, "drivecoach.train.unsloth_backend", raising=False)
    said: list[str] = []
    assert choose_backend(_asking_for("auto"), said.append).NAME == "peft"
    assert "the backend unsloth cannot be used here" in said[0]


def test_a_backend_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from drivecoach.errors import TrainError
    from drivecoach.train.backend import choose_backend

    monkeypatch.setitem(sys.modules, "unsloth", None)
    monkeypatch.delitem(sys.modules, "drivecoach.train.unsloth_backend", raising=False)
    with pytest.raises(TrainError, match="backend unsloth cannot be used") as caught:
        choose_backend(_asking_for("unsloth"))
    assert "drivecoach[unsloth]" in caught.value.hint


@pytest.mark.parametrize("found", [None, "0.8.5"])
def test_a_tracker_that_is_missing_or_too_new_is_named(
    found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivecoach.errors import TrainError
    from drivecoach.train import trackers as module

    def version(name: str) -> str:
        if found is None or name != "swanlab":
            raise module.PackageNotFoundError
        return found

    monkeypatch.setattr(module, "version", version)
    with pytest.raises(TrainError, match=r"mlflow, swanlab<0\.8") as caught:
        module.check_trackers(["mlflow", "swanlab"])
    assert caught.value.hint == "pip install 'mlflow' 'swanlab<0.8'"
