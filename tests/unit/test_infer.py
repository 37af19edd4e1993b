"""The engine: one judged outcome for one input, whatever the runtime says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.infer import Engine, Outcome
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime, right

INPUTS = lines(40)
STATES = [DRIVING.read_input(text) for text in INPUTS]
ANSWERS = {text: right(text, None) for text in INPUTS}
UNSAFE = '{"动作": ["轻踩油门"], "级别": "提示", "话术": "走"}'


def one(answer: str | Exception, text: str = INPUTS[0], **settings: Any) -> Outcome[Instruction]:
    return asked(ScriptedRuntime(lambda user, seed: answer, **settings), text)


def asked(runtime: ScriptedRuntime, text: str) -> Outcome[Instruction]:
    return Engine(runtime.generate, DRIVING, asks=1).ask(text)


def test_a_right_answer_is_valid() -> None:
    outcome = one(f"<think>\nwhy\n</think>\n\n{ANSWERS[INPUTS[0]]}")
    assert (outcome.status, outcome.reason, outcome.thinking) == ("valid", "", "why")
    assert outcome.answer == DRIVING.teach(STATES[0])
    written = {
        "row": 1,
        "input": INPUTS[0],
        "status": "valid",
        "answer": json.loads(ANSWERS[INPUTS[0]]),
        "thinking": "why",
        "reason": "",
        "milliseconds": 10.0,
    }
    assert written.items() <= json.loads(json.dumps(outcome.to_json(DRIVING))).items()


@pytest.mark.parametrize(
    "text", ["", "no JSON", "{}", UNSAFE[:-1], UNSAFE.replace("轻踩油门", "起飞"), "<think>\nno end"]
)
def test_an_answer_outside_the_schema_is_invalid(text: str) -> None:
    outcome = one(text)
    assert (outcome.status, outcome.answer) == ("invalid", None)
    assert outcome.reason.startswith("schema: ")


def test_every_fault_of_an_answer_is_in_the_reason() -> None:
    reason = one('{"动作": ["起飞"], "级别": "紧急", "x": 1}').reason
    assert all(word in reason for word in ("起飞", "紧急", "话术", "x"))


def test_an_answer_that_was_cut_says_so() -> None:
    outcome = one(UNSAFE[:-5], finished=False)
    assert outcome.status == "invalid"
    assert "token limit" in outcome.reason


def test_an_answer_that_breaks_an_invariant_is_invalid_and_shown() -> None:
    text, state = next(
        (text, state)
        for text, state in zip(INPUTS, STATES, strict=True)
        if DRIVING.violations(state, DRIVING.read_answer(UNSAFE))
    )
    outcome = one(UNSAFE, text)
    assert (outcome.status, outcome.answer) == ("invalid", DRIVING.read_answer(UNSAFE))
    assert outcome.reason.startswith("invariants: ")
    assert outcome.violations == tuple(DRIVING.violations(state, DRIVING.read_answer(UNSAFE)))
    for violation in DRIVING.violations(state, DRIVING.read_answer(UNSAFE)):
        assert str(violation) in outcome.reason


def test_bad_input_fails_without_asking() -> None:
    runtime = ScriptedRuntime(lambda user, seed: UNSAFE)
    outcome = asked(runtime, "<特征>挡位:9挡</特征>")
    assert (outcome.status, outcome.input) == ("failed", "<特征>挡位:9挡</特征>")
    assert "9挡" in outcome.reason and "手刹" in outcome.reason
    assert runtime.asked == []


@pytest.mark.parametrize("error", [RuntimeFailure("no server", hint="start it"), InputError("too odd", hint="")])
def test_a_runtime_that_does_not_answer_fails_the_row(error: Exception) -> None:
    outcome = one(error)
    assert (outcome.status, outcome.answer) == ("failed", None)
    assert str(error) in outcome.reason


def test_the_model_sees_the_canonical_line_whatever_the_user_wrote() -> None:
    runtime = ScriptedRuntime()
    outcome = asked(runtime, INPUTS[0].replace(":", " ： ").replace("; ", "，"))
    assert [question.user for question in runtime.asked] == [INPUTS[0]] == [outcome.input]
    assert outcome.status == "valid"


def test_what_is_no_trouble_of_a_row_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        one(ZeroDivisionError())
