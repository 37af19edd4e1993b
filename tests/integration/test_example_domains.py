"""The example domains: their pairs are what the generators write and pass every check; each is tuned at small size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivecoach.config import load_recipe
from drivecoach.data.check import check
from drivecoach.domain import AnyDomain
from drivecoach.domains.load import load_domain
from drivecoach.infer import Engine
from drivecoach.pipeline import Run
from drivecoach.runtime import open_runtime

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["order", "reefer"]
SMALL = [
    "base.nano={hidden_size: 32, layers: 2, heads: 2, kv_heads: 1, head_dim: 16, intermediate_size: 64}",
    "data.fraction=0.06",
    "train.epochs=8",
    "train.batch_size=16",
    "train.warmup_steps=5",
    "train.checkpoint_steps=1000",
    "export.quantizations=[f16]",
]


def domain_of(name: str) -> AnyDomain:
    return load_domain(f"{EXAMPLES / name / 'schema.py'}:domain")


@pytest.mark.parametrize("name", NAMES)
def test_the_pairs_are_what_the_generator_writes(name: str, tmp_path: Path) -> None:
    made = tmp_path / "pairs.jsonl"
    subprocess.run([sys.executable, EXAMPLES / name / "make_pairs.py", made], check=True)
    assert made.read_bytes() == (EXAMPLES / name / "pairs.jsonl").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_pairs_pass_every_check(name: str) -> None:
    domain = domain_of(name)
    report = check(EXAMPLES / name / "pairs.jsonl", domain)
    assert len(report.pairs) > 1500
    assert report.refusals == []
    assert report.warnings == []  # no answer breaks an invariant
    assert not domain.has_teacher


READING = "cargo:deep-frozen food; phase:unloading; set:-20.0; measured:-14.5; door_open:true; idle:5"


def advice(action: str, setpoint: float = -20.0, checks: str = "") -> str:
    return f'{{"action": "{action}", "setpoint": {setpoint}, "look_again": 10, "checks": [{checks}], "say": "…"}}'


@pytest.mark.parametrize(
    ("reading", "answer", "broken"),
    [
        (READING, advice("close the door"), []),
        (READING, advice("hold"), ["F1"]),
        (READING.replace("-14.5", "-15.0"), advice("hold"), []),
        (READING.replace("true", "false"), advice("hold"), ["F7"]),
        (READING.replace("true", "false").replace("-14.5", "-15.0"), advice("cool down"), []),
        (READING.replace("true", "false").replace("unloading", "pre-cooling"), advice("cool down"), []),
        (READING.replace("unloading", "pre-cooling"), advice("hold"), []),
        (READING, advice("cool down", setpoint=-17.5), ["F2"]),
        (READING.replace("unloading", "driving"), advice("cool down"), ["F3"]),
        (READING.replace("-14.5", "-18.0"), advice("hold", setpoint=-21.0), ["F4"]),
        (READING.replace("-14.5", "-29.0"), advice("cool down"), ["F5"]),
        (READING, advice("warm up"), ["F5"]),
        (READING, advice("report the cargo"), ["F6"]),
        (READING, advice("report the cargo", checks='"product temperature"'), []),
    ],
)
def test_what_a_reefer_must_never_say(reading: str, answer: str, broken: list[str]) -> None:
    domain = domain_of("reefer")
    found = domain.violations(domain.read_input(reading), domain.read_answer(answer))
    assert [violation.id for violation in found] == broken


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_tuned_and_asked(name: str, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    recipe = load_recipe(EXAMPLES / name / "recipe.yaml", SMALL)
    run = Run(tmp_path / "run", recipe, lambda text: None)
    run.save_recipe()
    data = run.prepare()
    trained = run.train()
    assert trained.steps == 8 * -(-data.train // 16)
    run.export()
    scores = run.evaluate()
    assert list(scores.root) == ["test"]  # nobody knows the right answers of other inputs
    assert scores.root["test"].rows == data.test
    assert (scores.root["test"].violations is None) == (name == "order")
    asked = run.pairs("test")[0].input
    with open_runtime(str(run.quantized)) as runtime:
        outcome = Engine(runtime.generate, run.domain).ask(asked)
    assert outcome.input == asked
    assert outcome.status in ("valid", "invalid"), outcome.reason
