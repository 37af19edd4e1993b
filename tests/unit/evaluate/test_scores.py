"""Scores: what is asked, in which turn of which conversation, and how the answers are counted."""

from __future__ import annotations

import pytest

from drivecoach.chat import Message
from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.domains.text import TEXT
from drivecoach.evaluate.scores import Case, score
from drivecoach.infer import Question
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime, right

CASES: list[Case[Instruction]] = [Case(Question(line), DRIVING.teach(DRIVING.read_input(line))) for line in lines(30)]
LINES = [case.question.text for case in CASES]


def test_the_rules_own_answers_are_all_right() -> None:
    scores = score(ScriptedRuntime(), DRIVING, CASES)
    assert (scores.rows, scores.schema_valid, scores.violations, scores.wrong) == (30, 1, 0, [])
    assert list(scores.right) == ["answer", "动作", "级别", "话术", "safe"]
    assert set(scores.right.values()) == {1.0}


def test_wrong_and_unreadable_answers_are_counted_and_shown_and_asked_once() -> None:
    replies = {LINES[0]: "踩刹车", LINES[1]: right(LINES[2], None)}
    assert CASES[1].expected != CASES[2].expected
    runtime = ScriptedRuntime(lambda user, seed: replies.get(user) or right(user, seed))
    scores = score(runtime, DRIVING, CASES)
    assert scores.schema_valid == pytest.approx(29 / 30)
    assert [row.input for row in scores.wrong] == LINES[:2]
    assert scores.right["answer"] == pytest.approx(28 / 30)
    assert len(runtime.asked) == 30


@pytest.mark.parametrize("think", [True, False])
def test_histories_and_thinking_reach_the_runtime(think: bool) -> None:
    turns: tuple[Message, ...] = ({"role": "user", "content": "早"}, {"role": "assistant", "content": "系好安全带"})
    cases = [Case(Question(LINES[0], turns, think), CASES[0].expected), *CASES[1:]]
    runtime, moved = ScriptedRuntime(), []
    score(runtime, DRIVING, cases, lambda: moved.append(1))
    assert len(moved) == 30
    assert (runtime.asked[0].history, runtime.asked[0].think) == (turns, think)
    assert all(asked.history == () for asked in runtime.asked[1:])


def test_constrained_answers_are_asked_for_under_the_schema() -> None:
    runtime = ScriptedRuntime()
    score(runtime, DRIVING, CASES, constrain=True)
    assert all(asked.schema == DRIVING.answer.schema for asked in runtime.asked)


def test_a_domain_without_invariants_counts_none() -> None:
    scores = score(ScriptedRuntime(lambda user, seed: user), TEXT, [Case(Question("a"), "a"), Case(Question("b"), "c")])
    assert scores.violations is None
    assert scores.right == {"answer": 0.5}
