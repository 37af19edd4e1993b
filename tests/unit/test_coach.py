"""The Python interface: typed answers, their violations and source, many at once, and the async twins."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import drivecoach
from drivecoach import Coach
from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.domains.text import TEXT
from drivecoach.errors import AnswerError, InputError, ModelError, RecipeError, RuntimeFailure
from tests.support.driving import states
from tests.support.fault_server import UNSAFE
from tests.support.scripted_runtime import ScriptedRuntime, right
from tests.support.thermostat import THERMOSTAT, Action, Reading

STATES = [state for state in states(35) if DRIVING.violations(state, DRIVING.read_answer(UNSAFE))]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> ScriptedRuntime:
    scripted = ScriptedRuntime()
    monkeypatch.setattr("drivecoach.batch.run.open_runtime", lambda model, host, timeout: scripted)
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
    runtime.answer = lambda user, seed: UNSAFE
    with Coach("scripted") as coach:
        assert coach.ask(STATES[0]).violations
    with Coach("scripted", guard="replace") as coach:
        answer = coach.ask(STATES[0])
        assert (answer.source, answer.violations) == ("rules", ())
        assert answer == DRIVING.teach(STATES[0])


@pytest.mark.parametrize("guard", ["FLAG", "", 5, None])
def test_a_guard_that_does_not_exist_is_refused(runtime: ScriptedRuntime, guard: Any) -> None:
    with pytest.raises(RecipeError, match="there is no guard") as caught:
        Coach("scripted", guard=guard)
    assert "flag, replace, strict, off" in caught.value.hint


def test_a_guard_that_the_domain_cannot_have_is_refused_and_nothing_stays_open(runtime: ScriptedRuntime) -> None:
    runtime.metadata = {"drivecoach.domain": "text"}
    with pytest.raises(RecipeError, match="needs a teacher"):
        Coach("scripted", guard="strict")
    assert runtime.closed
    with pytest.raises(RecipeError, match="needs a teacher"):
        Coach("scripted", domain=TEXT, guard="replace")


@pytest.mark.parametrize("model", [None, 7, b"x.gguf"])
def test_what_names_no_model_is_refused(model: Any) -> None:
    with pytest.raises(ModelError, match="names no model"):
        Coach(model)


def test_a_model_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model at .*none\.gguf"):
        Coach(tmp_path / "none.gguf")


def test_after_closing_one_is_told_so(runtime: ScriptedRuntime) -> None:
    with Coach("scripted") as coach:
        assert coach.ask(STATES[0])
    with pytest.raises(RuntimeFailure, match="closed"):
        coach.ask(STATES[0])
    with pytest.raises(RuntimeFailure, match="closed"):
        next(coach.ask_many(STATES))
    with pytest.raises(RuntimeFailure, match="closed"):
        asyncio.run(coach.aask(STATES[0]))
    coach.close()


def test_rules_answer_without_any_model() -> None:
    with Coach("rules", guard="strict") as coach:
        answer = coach.ask(STATES[0])
        assert (answer, answer.source, answer.violations) == (DRIVING.teach(STATES[0]), "rules", ())
    with Coach("rules", domain=THERMOSTAT) as coach:
        assert coach.ask(Reading(room="kitchen", temperature=17, window_open=False)).action is Action.HEAT
    with pytest.raises(ModelError, match="the domain text has no teacher"):
        Coach("rules", domain=TEXT).ask("x")


def test_answers_come_while_inputs_still_come(runtime: ScriptedRuntime) -> None:
    pulled = 0

    def slow() -> Iterator[Any]:
        """The next one comes when those before it are answered."""
        nonlocal pulled
        pulled, before, limit = 0, len(runtime.asked), time.monotonic() + 60
        for state in STATES[:20]:
            pulled += 1
            yield state
            while len(runtime.asked) < before + pulled or runtime.working:
                assert time.monotonic() < limit, "the answer never came"
                time.sleep(0.001)

    async def ask(coach: Coach[Any, Any]) -> list[int]:
        return [pulled async for _ in coach.aask_many(slow())]

    with Coach("scripted") as coach:
        for at in ([pulled for _ in coach.ask_many(slow())], asyncio.run(ask(coach))):
            assert len(at) == 20
            assert at[0] <= 10, "the first answer waits for no more than its own"


@pytest.mark.parametrize("value", [None, 7, Reading(room="kitchen", temperature=17, window_open=False)])
def test_what_is_no_input_is_said_to_be_none_and_ends_nothing(runtime: ScriptedRuntime, value: Any) -> None:
    with Coach("scripted") as coach:
        with pytest.raises(InputError):
            coach.ask(value)
        kinds = [type(answer).__name__ for answer in coach.ask_many([STATES[0], value, STATES[1]])]
    assert kinds == ["Answer", "AnswerError", "Answer"]


def test_inputs_that_fail_in_one_thread_are_no_matter_of_another(runtime: ScriptedRuntime) -> None:
    """The error is raised where the inputs come from; `ask` beside it, before and after, answers."""
    asking, failed = threading.Event(), threading.Event()

    def answer(user: str, seed: int | None) -> str:
        if threading.current_thread().name == "other":
            asking.set()
            assert failed.wait(10)
        return right(user, seed)

    def inputs() -> Iterator[Any]:
        yield STATES[0]
        raise ZeroDivisionError

    runtime.answer = answer
    found: list[object] = []
    with Coach("scripted") as coach:
        other = threading.Thread(target=lambda: found.extend(coach.ask(state) for state in STATES[1:4]), name="other")
        other.start()
        assert asking.wait(10)
        with pytest.raises(ZeroDivisionError):
            list(coach.ask_many(inputs()))
        failed.set()
        other.join(10)
        assert found == [DRIVING.teach(state) for state in STATES[1:4]]
        assert coach.ask(STATES[0]) == DRIVING.teach(STATES[0])


def test_no_answer_is_an_error_for_one_and_a_value_among_many(runtime: ScriptedRuntime) -> None:
    runtime.answer = lambda user, seed: "" if user == DRIVING.write_input(STATES[1]) else right(user, seed)
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
