"""Asking one and many: one judged outcome per input, in order, in bounded memory, whatever the runtime does."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.domains.driving import DRIVING
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.infer import Outcome, ask, ask_many
from drivecoach.runtime import Completion
from tests.support.driving import lines

INPUTS = lines(40)
STATES = [DRIVING.read_input(text) for text in INPUTS]
ANSWERS = {text: DRIVING.write_answer(DRIVING.teach(state)) for text, state in zip(INPUTS, STATES, strict=True)}
UNSAFE = '{"动作": ["轻踩油门"], "级别": "提示", "话术": "走"}'


class Scripted:
    """A runtime whose answers a test writes; counts how many requests are in work at once."""

    name = "scripted"

    def __init__(self, answer: Callable[[str], str | Exception], *, slots: int = 4, finished: bool = True) -> None:
        self.slots, self._answer, self._finished = slots, answer, finished
        self._lock = threading.Lock()
        self.working = self.most = self.asked = 0

    def generate(self, user: str, *, seed: int | None = None) -> Completion:
        with self._lock:
            self.asked += 1
            self.working += 1
            self.most = max(self.most, self.working)
        try:
            found = self._answer(user)
        finally:
            with self._lock:
                self.working -= 1
        if isinstance(found, Exception):
            raise found
        return Completion(found, prompt_tokens=15, completion_tokens=15, seconds=0.25, finished=self._finished)

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def one(answer: str | Exception, text: str = INPUTS[0], **settings: Any) -> Outcome:
    return ask(Scripted(lambda _: answer, **settings), DRIVING, text)


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
        "milliseconds": 250.0,
    }
    assert written.items() <= json.loads(json.dumps(outcome.to_json())).items()


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
    for violation in DRIVING.violations(state, DRIVING.read_answer(UNSAFE)):
        assert str(violation) in outcome.reason


def test_bad_input_fails_without_asking() -> None:
    runtime = Scripted(lambda _: UNSAFE)
    outcome = ask(runtime, DRIVING, "<特征>挡位:9挡</特征>", row=7)
    assert (outcome.row, outcome.status, outcome.input) == (7, "failed", "<特征>挡位:9挡</特征>")
    assert "9挡" in outcome.reason and "手刹" in outcome.reason
    assert runtime.asked == 0


@pytest.mark.parametrize("error", [RuntimeFailure("no server", hint="start it"), InputError("too odd", hint="")])
def test_a_runtime_that_does_not_answer_fails_the_row(error: Exception) -> None:
    outcome = one(error)
    assert (outcome.status, outcome.answer) == ("failed", None)
    assert str(error) in outcome.reason


def test_the_model_sees_the_canonical_line_whatever_the_user_wrote() -> None:
    seen: list[str] = []
    runtime = Scripted(lambda user: seen.append(user) or ANSWERS[user])  # type: ignore[func-returns-value]
    outcome = ask(runtime, DRIVING, INPUTS[0].replace(":", " ： ").replace("; ", "，"))
    assert seen == [INPUTS[0]] == [outcome.input]
    assert outcome.status == "valid"


KINDS: dict[str, Callable[[str], str | Exception]] = {
    "valid": lambda user: ANSWERS[user],
    "invalid": lambda _: "no JSON",
    "failed": lambda _: RuntimeFailure("no server", hint="start it"),
}


@given(st.lists(st.tuples(st.integers(0, len(INPUTS) - 1), st.sampled_from(list(KINDS))), max_size=40))
def test_each_input_has_one_outcome_in_its_place(script: list[tuple[int, str]]) -> None:
    texts = [INPUTS[number] for number, _ in script]
    kinds = iter([kind for _, kind in script])
    runtime = Scripted(lambda user: KINDS[next(kinds)](user), slots=1)
    outcomes = list(ask_many(runtime, DRIVING, texts))
    assert [(o.row, o.input, o.status) for o in outcomes] == [
        (row, text, kind) for row, (text, (_, kind)) in enumerate(zip(texts, script, strict=True), start=1)
    ]


def test_late_answers_keep_their_places_and_the_slots_are_used() -> None:
    """The first is answered last, and answers come back in the order of the inputs all the same."""
    others = threading.Semaphore(0)

    def answer(user: str) -> str:
        if user == INPUTS[0]:
            for _ in range(3):
                assert others.acquire(timeout=30)
        else:
            others.release()
        return ANSWERS[user]

    runtime = Scripted(answer)
    outcomes = list(ask_many(runtime, DRIVING, INPUTS[:20]))
    assert [outcome.input for outcome in outcomes] == INPUTS[:20]
    assert {outcome.status for outcome in outcomes} == {"valid"}
    assert 2 <= runtime.most <= runtime.slots


def test_endless_input_is_read_only_as_far_as_it_is_answered() -> None:
    read = itertools.count()

    def endless() -> Iterator[str]:
        for number in read:
            assert number < 5000, "nobody asked for so many"
            yield INPUTS[number % len(INPUTS)]

    runtime = Scripted(lambda user: ANSWERS[user])
    outcomes = ask_many(runtime, DRIVING, endless())
    rows = [next(outcomes).row for _ in range(500)]
    assert rows == list(range(1, 501))
    assert next(read) <= 500 + 8 * runtime.slots
    outcomes.close()  # type: ignore[attr-defined]
    asked = runtime.asked
    time.sleep(0.05)
    assert runtime.asked == asked <= 500 + 8 * runtime.slots, "nobody listens any more"


def test_no_input_is_no_outcome() -> None:
    assert list(ask_many(Scripted(lambda _: UNSAFE), DRIVING, [])) == []


def test_what_is_no_trouble_of_a_row_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ask_many(Scripted(lambda _: ZeroDivisionError()), DRIVING, INPUTS[:3]))
