"""The Python door: typed answers, their violations and source, many at once, and the async twins."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys

import pytest

import drivecoach
from drivecoach import Coach
from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.errors import AnswerError, InputError
from tests.support.fault_server import UNSAFE
from tests.support.scripted_runtime import ScriptedRuntime, right

STATES = [
    state
    for state in itertools.islice(DRIVING.inputs(), 0, 290_000, 9000)
    if DRIVING.violations(state, DRIVING.read_answer(UNSAFE))
]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> ScriptedRuntime:
    scripted = ScriptedRuntime()
    monkeypatch.setattr("drivecoach.coach.opens", lambda settings: [lambda: scripted])
    return scripted


def test_an_answer_is_an_instruction_with_more(runtime: ScriptedRuntime) -> None:
    with Coach("scripted") as coach:
        answer = coach.ask(STATES[0])
        assert isinstance(answer, Instruction)
        assert answer == DRIVING.teach(STATES[0])
        assert (answer.violations, answer.source, answer.latency) == ((), "model", 0.01)
        assert DRIVING.write_answer(answer) == DRIVING.write_answer(DRIVING.teach(STATES[0]))
        assert coach.ask(DRIVING.write_input(STATES[0])) == answer
    assert runtime.closed


def test_violations_are_there_or_the_rules_speak(runtime: ScriptedRuntime) -> None:
    runtime._answer = lambda user, seed: UNSAFE
    with Coach("scripted") as coach:
        assert coach.ask(STATES[0]).violations
    with Coach("scripted", guard="replace") as coach:
        answer = coach.ask(STATES[0])
        assert (answer.source, answer.violations) == ("rules", ())
        assert answer == DRIVING.teach(STATES[0])


def test_no_answer_is_an_error_for_one_and_a_value_among_many(runtime: ScriptedRuntime) -> None:
    runtime._answer = lambda user, seed: "" if user == DRIVING.write_input(STATES[1]) else right(user, seed)
    with Coach("scripted") as coach:
        with pytest.raises(AnswerError):
            coach.ask(STATES[1])
        with pytest.raises(InputError):
            coach.ask("<特征>速度:飞快</特征>")
        answers = list(coach.ask_many(STATES[:3]))
    assert [type(answer).__name__ for answer in answers] == ["Answer", "AnswerError", "Answer"]


def test_the_async_twins_do_the_same(runtime: ScriptedRuntime) -> None:
    async def ask() -> None:
        with Coach("scripted") as coach:
            first, second = await asyncio.gather(coach.aask(STATES[0]), coach.aask(STATES[1]))
            many = [answer async for answer in coach.aask_many(STATES[:5])]
            assert [first, second] == many[:2]
            assert many == [DRIVING.teach(state) for state in STATES[:5]]

    asyncio.run(ask())


def test_the_package_alone_stays_light() -> None:
    code = (
        "import sys, drivecoach; print([m for m in ('torch', 'xllamacpp', 'httpx', 'starlette') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert "Coach" in drivecoach.__all__
    with pytest.raises(AttributeError):
        _ = drivecoach.nothing
