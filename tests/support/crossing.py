"""A third small domain for tests, all of whose inputs can be walked: rules with ids, levels, an invariant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from drivecoach.config import Recipe
from drivecoach.domain import Domain, Explanation, Violation
from drivecoach.files import write_lines
from drivecoach.pipeline import Run


class View(BaseModel):
    """What is seen at a crossing."""

    place: Literal["school", "bridge", "tunnel"]
    light: Literal["red", "amber", "green", "dark"]
    speed: Literal["still", "slow", "fast"]
    walker: Literal["none", "near", "far"]
    rain: Literal["yes", "no"]


class Order(BaseModel):
    """What is done."""

    act: Literal["stop", "slow down", "go"]
    level: Literal["hint", "danger"]


class Crossing(Domain[View, Order]):
    """Knows that nobody drives at a walker."""

    levels = ("hint", "danger")
    map_by = "place"

    def teach(self, value: View) -> Order:
        """First rule that holds."""
        return Order(act=_ACTS[self._rule(value)][0], level=_ACTS[self._rule(value)][1])

    def explain(self, value: View) -> Explanation:
        """By which rule."""
        return Explanation(self._rule(value), "", "", {})

    def violations(self, value: View, answer: Order) -> list[Violation]:
        """V1."""
        broken = value.walker == "near" and answer.act == "go"
        return [Violation("V1", "nobody drives at a walker")] if broken else []

    def level(self, answer: Order) -> str:
        """As it says."""
        return answer.level

    def _rule(self, value: View) -> str:
        if value.walker == "near":
            return "R1" if value.speed != "still" else "R2"
        if value.light == "red" or (value.light == "amber" and value.speed == "slow"):
            return "R3"
        if value.light == "dark" and (value.rain == "yes" or value.place == "school"):
            return "R4"
        return "R5"


_ACTS: dict[str, tuple[Literal["stop", "slow down", "go"], Literal["hint", "danger"]]] = {
    "R1": ("stop", "danger"),
    "R2": ("stop", "hint"),
    "R3": ("stop", "hint"),
    "R4": ("slow down", "hint"),
    "R5": ("go", "hint"),
}
CROSSING = Crossing("crossing", View, Order, "You guard a crossing.")
domain = CROSSING


def crossing_run(folder: Path, *, epochs: int = 6, rows: int = 60) -> Run:
    """A run in ``folder``, trained for some seconds on a part of all inputs, exported: it gets some of them wrong."""
    pairs = CROSSING.draw(rows, 7)
    source = folder / "rows.jsonl"
    source.parent.mkdir(parents=True, exist_ok=True)
    written = [
        {"input": CROSSING.write_input(pair.input), "output": CROSSING.write_answer(pair.answer)} for pair in pairs
    ]
    write_lines(source, map(json.dumps, written))
    recipe = Recipe.model_validate(
        {
            "name": "crossing",
            "domain": f"{Path(__file__)}:domain",
            "data": {"path": str(source), "validation": 0.1, "test": 0.1},
            "base": {
                "source": "nano",
                "nano": {
                    "hidden_size": 64,
                    "layers": 2,
                    "heads": 2,
                    "kv_heads": 1,
                    "head_dim": 32,
                    "intermediate_size": 64,
                },
            },
            "train": {
                "lora": None,
                "optimizer": "muon",
                "epochs": epochs,
                "batch_size": 16,
                "learning_rate": 5e-3,
                "warmup_steps": 2,
                "precision": "fp32",
                "max_length": 128,
            },
            "export": {"quantizations": ["q4_K_M"], "num_ctx": 128, "num_predict": 48, "parity_states": 4},
            "evaluate": {"states": 20},
            "refine": {"rounds": 2, "pairs": 60, "epochs": 6},
        }
    )
    run = Run(folder / "crossing", recipe, lambda _: None)
    run.prepare()
    run.train()
    run.export()
    return run
