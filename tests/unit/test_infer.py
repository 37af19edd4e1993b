"""The engine: one judged outcome for one input, whatever the runtime says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.domains.text import TEXT
from drivecoach.errors import InputError, RecipeError, RuntimeFailure
from drivecoach.infer import ASKS, GUARDS, Engine, Guard, Outcome, strictest
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime, right
from tests.support.thermostat import THERMOSTAT

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


def lowered(user: str, seed: int | None) -> str:
    """The rules' instruction, said as a mere next step."""
    taught = DRIVING.teach(DRIVING.read_input(user))
    return DRIVING.write_answer(taught.model_copy(update={"level": "提示"}))


WARNED = next(
    text
    for text, state in zip(INPUTS, STATES, strict=True)
    if DRIVING.teach(state).level == "警告" and not DRIVING.violations(state, DRIVING.read_answer(lowered(text, None)))
)
"""A state in which a level that is too low breaks no invariant."""


def guarded(guard: Guard, runtime: ScriptedRuntime, text: str) -> Outcome[Instruction]:
    return Engine(runtime.generate, DRIVING, guard).ask(text)


def test_strict_replaces_what_is_below_the_rules_level_and_says_why() -> None:
    runtime = ScriptedRuntime(lowered)
    outcome = guarded("strict", runtime, WARNED)
    assert (outcome.status, outcome.source) == ("valid", "rules")
    assert outcome.answer == DRIVING.teach(DRIVING.read_input(WARNED))
    assert outcome.reason == "replaced: level 提示 is below the rules' 警告"
    assert len(runtime.asked) == ASKS
    for guard in GUARDS:
        assert (guarded(guard, ScriptedRuntime(lowered), WARNED).source == "rules") == (guard == "strict")


def test_strict_names_a_broken_invariant_and_the_level_together() -> None:
    text, state = next(
        (text, state)
        for text, state in zip(INPUTS, STATES, strict=True)
        if DRIVING.teach(state).level == "危险" and DRIVING.violations(state, DRIVING.read_answer(UNSAFE))
    )
    reason = guarded("strict", ScriptedRuntime(lambda user, seed: UNSAFE), text).reason
    assert all(str(violation) in reason for violation in DRIVING.violations(state, DRIVING.read_answer(UNSAFE)))
    assert reason.endswith("; level 提示 is below the rules' 危险")


def test_strict_replaces_what_is_no_answer_and_lets_a_graver_level_and_other_words_pass() -> None:
    outcome = guarded("strict", ScriptedRuntime(lambda user, seed: "no JSON"), WARNED)
    assert (outcome.source, outcome.answer) == ("rules", DRIVING.teach(DRIVING.read_input(WARNED)))
    assert outcome.reason.startswith("replaced: schema: ")
    said = DRIVING.teach(DRIVING.read_input(WARNED)).model_copy(update={"speech": "先等一等"})
    assert not DRIVING.violations(DRIVING.read_input(WARNED), said)
    kept = guarded("strict", ScriptedRuntime(lambda user, seed: DRIVING.write_answer(said)), WARNED)
    assert (kept.status, kept.source, kept.answer) == ("valid", "model", said)
    careful = ScriptedRuntime(lambda user, seed: '{"action": "off", "level": 0, "steps": []}')
    cold = Engine(careful.generate, THERMOSTAT, "strict").ask("room:kitchen; temperature:17; window open:false")
    assert (cold.source, cold.status) == ("model", "valid"), "the rules would heat; off is no danger"


def test_strict_takes_a_good_second_answer_of_the_model() -> None:
    outcome = guarded("strict", ScriptedRuntime(lambda u, seed: right(u, seed) if seed else lowered(u, seed)), WARNED)
    assert (outcome.status, outcome.source, outcome.reason) == ("valid", "model", "")


def test_strict_works_for_any_domain_that_names_its_levels() -> None:
    runtime = ScriptedRuntime(lambda user, seed: '{"action": "heat", "level": 2, "steps": []}')
    outcome = Engine(runtime.generate, THERMOSTAT, "strict").ask("room:kitchen; temperature:22; window open:false")
    assert outcome.source == "rules"
    assert outcome.reason == "replaced: level heat is below the rules' off"


@pytest.mark.parametrize("guard", ["FLAG", "", 5, None, "Strict"])
def test_a_guard_that_does_not_exist_is_refused_with_the_list(guard: Any) -> None:
    with pytest.raises(RecipeError, match="there is no guard") as caught:
        Engine(ScriptedRuntime().generate, DRIVING, guard)
    assert all(name in caught.value.hint for name in GUARDS)


def test_a_guard_that_the_domain_cannot_have_is_refused() -> None:
    class Unranked(type(DRIVING)):  # type: ignore[misc]
        levels = ()

    unranked = Unranked("unranked", DRIVING.state, DRIVING.instruction)
    for guard in ("replace", "strict"):
        with pytest.raises(RecipeError, match=f"guard {guard} needs a teacher, and the domain text has none"):
            Engine(ScriptedRuntime().generate, TEXT, guard)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="guard strict compares levels, and the domain unranked has none"):
        Engine(ScriptedRuntime().generate, unranked, "strict")
    assert [strictest(domain) for domain in (DRIVING, unranked, TEXT)] == ["strict", "replace", "flag"]
