"""A run folder as the stages leave it, made of a tiny model in moments: for the verbs that only read one."""

from __future__ import annotations

import json
from pathlib import Path

from drivecoach.config import Recipe
from drivecoach.data.result import DataResult
from drivecoach.domain.scores import WHOLE
from drivecoach.evaluate.scores import Evaluation, Scores
from drivecoach.export.result import Agreement, ExportedFile, ExportResult
from drivecoach.files import sha256
from drivecoach.pipeline import Run
from drivecoach.stage import finish, identity, outcome_of


def make_run(folder: Path, gguf: Path, inputs: list[str], **right: float) -> Run:
    """A run whose model is ``gguf``, exported; evaluated where ``right`` gives a test's share of right answers."""
    recipe = Recipe.model_validate(
        {
            "name": folder.name,
            "data": {"path": "none"},
            "base": {"source": "nano"},
            "export": {"name": "goDrive", "quantizations": ["f16"], "num_ctx": 256, "num_predict": 64},
        }
    )
    run = Run(folder, recipe, lambda _: None)
    run.save_recipe()
    rows = [{"row": row, "input": text, "output": "{}"} for row, text in enumerate(inputs)]
    for name, kept in {"train": rows, "validation": [], "test": rows}.items():
        (folder / "data").mkdir(exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        (folder / f"data/{name}.jsonl").write_text(lines, encoding="utf-8")
    counts = {"rows": len(rows), "train": len(rows), "validation": 0, "test": len(rows)}
    finish(folder / "data", {}, DataResult(**counts, refused={}, warnings=0, digests={}), [])
    run.quantized.parent.mkdir()
    run.quantized.write_bytes(gguf.read_bytes())
    file = ExportedFile(bytes=gguf.stat().st_size, sha256=sha256(gguf))
    exported = ExportResult(
        files={run.quantized.name: file},
        agreement=Agreement(inputs=1, rows="held-out test rows", with_merged_model={run.quantized.name: 1.0}),
    )
    finish(run.quantized.parent, {}, exported, [run.quantized.name])
    if right:
        evaluate_run(folder, **right)
    return run


def evaluate_run(folder: Path, **right: float) -> None:
    """Let the run have been evaluated after its export, with these shares of right answers."""
    scores = {
        name: Scores(
            rows=100,
            schema_valid=1,
            right={WHOLE: share},
            danger=None,
            below=None,
            violations=0,
            mistakes=round(100 * (1 - share)),
            milliseconds=1,
        )
        for name, share in right.items()
    }
    (folder / "evaluate").mkdir(exist_ok=True)
    finish(folder / "evaluate", {outcome_of("export"): identity(folder / "export")}, Evaluation(scores), [])
