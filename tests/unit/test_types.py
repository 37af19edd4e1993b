"""What a type checker sees of domains and of `Coach`: what is missing, and the models that go in and come out."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]

SNIPPET = """
from drivecoach import Coach
from drivecoach.domain import Domain
from drivecoach.domains.load import DOMAINS
from tests.support.thermostat import THERMOSTAT, Command, Reading

Domain("lacking", Reading)
reveal_type(Domain("both", Reading, Command))
reveal_type(DOMAINS.load("driving"))
reveal_type(Coach("model.gguf").ask("line"))
reveal_type(Coach("model.gguf").ask("line").violations)
reveal_type(Coach("model.gguf", domain=THERMOSTAT).ask(Reading(room="kitchen", temperature=18, window_open=True)))
Coach("model.gguf", domain=THERMOSTAT).ask(3)


class Wrong(Domain[Reading, Command]):
    def teach(self, value: Command) -> Reading:
        raise NotImplementedError
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("types") / "snippet.py"
    path.write_text(SNIPPET, encoding="utf-8")
    cache = str(ROOT / ".mypy_cache")
    out, _, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", cache, str(path)])
    return out


@pytest.mark.parametrize(
    "expected",
    [
        'Missing positional argument "answer" in call to "Domain"',
        'Revealed type is "drivecoach.domain.base.Domain[tests.support.thermostat.Reading, ',
        'Revealed type is "drivecoach.domains.driving.answer.Answer"',
        'Revealed type is "tuple[drivecoach.domain.base.Violation, ...]"',
        'Revealed type is "tests.support.thermostat.Command"',
        'Argument 1 to "ask" of "Coach" has incompatible type "int"',
        'Return type "Reading" of "teach" incompatible with return type "Command | None"',
    ],
)
def test_a_type_checker_knows(told: str, expected: str) -> None:
    assert expected in told, told
