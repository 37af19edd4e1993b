"""Scores: what is asked, in which turn of which conversation, and how the answers are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drivecoach.chat import Message
from drivecoach.data.check import Pair
from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.domains.driving.words import Level
from drivecoach.domains.text import TEXT
from drivecoach.evaluate.own_pairs import DIFFERENCES, Differing, compare
from drivecoach.evaluate.scores import Case, Danger, Mistake, score, told
from drivecoach.infer import Question
from drivecoach.runtime.rules import Rules
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime, right

CASES: list[Case[Instruction]] = [Case(Question(line), DRIVING.teach(DRIVING.read_input(line))) for line in lines(30)]
LINES = [case.question.text for case in CASES]


def test_the_rules_own_answers_are_all_right() -> None:
    scores = score(ScriptedRuntime(), DRIVING, CASES)
    assert (scores.rows, scores.schema_valid, scores.violations, scores.mistakes) == (30, 1, 0, 0)
    assert list(scores.right) == ["answer", "动作", "级别", "话术"]
    assert set(scores.right.values()) == {1.0}
    dangerous = sum(case.expected.level == "危险" for case in CASES)
    assert scores.danger == Danger(level="危险", rows=dangerous, kept=dangerous, lowered=0)
    assert (scores.below, scores.differing) == (0, None)


def test_the_runtime_of_the_rules_is_scored_like_a_model() -> None:
    assert score(Rules(), DRIVING, CASES).right["answer"] == 1


def test_wrong_and_unreadable_answers_are_counted_and_shown_and_asked_once() -> None:
    replies = {LINES[0]: "踩刹车", LINES[1]: right(LINES[2], None)}
    assert CASES[1].expected != CASES[2].expected
    runtime = ScriptedRuntime(lambda user, seed: replies.get(user) or right(user, seed))
    mistakes: list[Mistake] = []
    scores = score(runtime, DRIVING, CASES, test="test", mistakes=mistakes)
    assert scores.schema_valid == pytest.approx(29 / 30)
    assert [mistake.input for mistake in mistakes] == LINES[:2]
    assert mistakes[0].wrong == ["answer", "动作", "级别", "话术"]
    assert (mistakes[0].test, mistakes[0].rules, mistakes[0].outcome["status"]) == ("test", None, "invalid")
    assert mistakes[0].expected == json.loads(right(LINES[0], None))
    assert scores.mistakes == 2
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
    assert (scores.violations, scores.danger, scores.below) == (None, None, None)
    assert scores.right == {"answer": 0.5}


def said(text: str, level: Level) -> str:
    """The rules' answer with another level."""
    return DRIVING.write_answer(DRIVING.teach(DRIVING.read_input(text)).model_copy(update={"level": level}))


def test_danger_is_counted_over_the_states_of_danger_alone() -> None:
    danger = [case.question.text for case in CASES if case.expected.level == "危险"]
    warning = [case.question.text for case in CASES if case.expected.level == "警告"]
    assert len(danger) >= 4 and len(warning) >= 2
    replies = {danger[0]: said(danger[0], "警告"), danger[1]: said(danger[1], "提示"), danger[2]: "no JSON"}
    replies |= {warning[0]: said(warning[0], "提示"), warning[1]: said(warning[1], "危险")}
    scores = score(ScriptedRuntime(lambda user, seed: replies.get(user) or right(user, seed)), DRIVING, CASES)
    assert scores.danger == Danger(level="危险", rows=len(danger), kept=len(danger) - 3, lowered=2)
    assert scores.below == 3
    words = "\n".join(told(scores, Path("runs/x/evaluate")))
    share = (len(danger) - 3) / len(danger)
    assert f"危险 kept {share:.2%} of {len(danger)}, 2 lowered, 1 without an answer" in words
    assert "3 answers below the right level" in words
    assert "5 wrong answers: runs/x/evaluate/mistakes.jsonl" in words


def test_every_mistake_is_kept_however_many() -> None:
    cases = [Case(Question(line), DRIVING.teach(DRIVING.read_input(line))) for line in lines(60)]
    mistakes: list[Mistake] = []
    assert score(ScriptedRuntime(lambda user, seed: ""), DRIVING, cases, mistakes=mistakes).mistakes == 60
    assert [mistake.input for mistake in mistakes] == lines(60)


def test_a_pair_that_says_something_else_than_the_rules_is_what_counts_and_is_named() -> None:
    own = DRIVING.teach(DRIVING.read_input(LINES[0])).model_copy(update={"speech": "照我说的做"})
    other = DRIVING.teach(DRIVING.read_input(LINES[1])).model_copy(update={"speech": "照我说的做"})
    cases = [Case(Question(LINES[0]), own), Case(Question(LINES[1]), other), *CASES[2:]]
    mistakes: list[Mistake] = []
    runtime = ScriptedRuntime(lambda u, s: DRIVING.write_answer(own) if u == LINES[0] else right(u, s))
    scores = score(runtime, DRIVING, cases, mistakes=mistakes)
    assert scores.right["answer"] == pytest.approx(29 / 30)
    assert scores.differing == Differing(count=2, among=30, first=LINES[:2], as_pairs=1, as_rules=1)
    (mistake,) = mistakes
    assert (mistake.input, mistake.rules) == (LINES[1], json.loads(right(LINES[1], None)))
    words = "\n".join(told(scores, Path("e")))
    assert "2 of these pairs say something else than the rules" in words
    assert "1 as the pairs, 1 as the rules" in words and LINES[0] in words


def test_answers_by_the_rules_carry_a_warning_where_pairs_differ() -> None:
    beside = Differing(count=12, among=7799, first=[LINES[0]])
    scores = score(ScriptedRuntime(), DRIVING, CASES, beside=beside)
    assert scores.differing == beside
    warning, where, first = list(told(scores, Path("e")))[-3:]
    assert warning == "warning: compared with the rules, though 12 of 7,799 pairs say something else"
    assert "e/differences.jsonl" in where and first == LINES[0]


def test_all_pairs_are_held_against_the_rules(tmp_path: Path) -> None:
    same = Pair(1, LINES[0], right(LINES[0], None))
    thinking = Pair(2, LINES[1], f"<think>\nwhy\n</think>\n\n{right(LINES[1], None)}")
    other = Pair(3, LINES[2], said(LINES[2], "提示" if CASES[2].expected.level != "提示" else "警告"))
    turns: tuple[Message, ...] = ({"role": "user", "content": "早"}, {"role": "assistant", "content": "早"})
    after_turns = Pair(4, LINES[2], other.output, turns)
    splits = {"train": [same, thinking], "validation": [after_turns], "test": [other]}
    notes: list[str] = []
    assert compare(DRIVING, splits, tmp_path, notes.append) == Differing(count=1, among=4, first=[LINES[2]])
    (row,) = [json.loads(line) for line in (tmp_path / DIFFERENCES).read_text(encoding="utf-8").splitlines()]
    both = {"pair": json.loads(other.output), "rules": json.loads(right(LINES[2], None))}
    assert row == {"split": "test", "row": 3, "input": LINES[2], **both}
    (note,) = notes
    assert "1 of 4 pairs" in note and str(tmp_path / DIFFERENCES) in note
    assert compare(TEXT, {"train": [Pair(1, "a", "b")]}, tmp_path, notes.append) is None
    assert len(notes) == 1 and (tmp_path / DIFFERENCES).read_text(encoding="utf-8") == ""
