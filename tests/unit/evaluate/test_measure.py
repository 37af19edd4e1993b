"""Figures: what was said held against what is right, counted whole, by part, by level and by slice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from drivecoach.domain import AnyDomain
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import InputError, ModelError, RuntimeFailure
from drivecoach.evaluate.answers import ask_all
from drivecoach.evaluate.figures import evaluate, told
from drivecoach.evaluate.questions import Questions
from drivecoach.evaluate.result import Figures, Gravest, Rate, Wrong
from drivecoach.evaluate.scores import AnyCase, Case
from drivecoach.evaluate.target import Target
from drivecoach.infer import Question
from tests.support.driving import lines
from tests.support.scripted_runtime import Reply, ScriptedRuntime, right

LINES = lines(40)
CASES: list[AnyCase] = [Case(Question(line), DRIVING.teach(DRIVING.read_input(line))) for line in LINES]


def scripted(
    answer: Callable[[str, int | None], Reply] = right, *, domain: AnyDomain = DRIVING, finished: bool = True
) -> Target:
    """A target whose runtime answers by a function."""
    runtime = ScriptedRuntime(answer, slots=4, finished=finished)
    return Target("scripted", "other", domain, runtime, None, None, None, "", "", lambda: "one")


def measure(target: Target, cases: list[AnyCase] = CASES, *, constrain: bool = False) -> tuple[Figures, list[Wrong]]:
    return evaluate(target, Questions({"test": cases}, [], []), constrain=constrain)


def test_the_rules_own_answers_are_all_right_in_every_slice() -> None:
    found, wrong = measure(scripted())
    (split,) = found.splits
    assert wrong == [] and split.exact == Rate.of(40, 40)
    assert split.violations == {} and split.json_valid == split.schema_valid == Rate.of(40, 40)
    assert set(split.fields) == {"动作", "级别", "话术"} and set(split.order_free) == {"动作"}
    assert found.map_by == "当前项目" and sum(rate.rows for rate in split.by_map.values()) == 40
    rules = {DRIVING.explain(DRIVING.read_input(line)).rule for line in LINES}
    assert set(split.by_rule) == rules and sum(cell.exact.rows for cell in split.cells) == 40
    assert set(split.by_value) == set(DRIVING.features)
    assert all(sum(rate.rows for rate in values.values()) == 40 for values in split.by_value.values())
    assert split.confusion is not None
    assert all(row[at] == sum(row) for at, row in enumerate(split.confusion.rows)), "right on the diagonal alone"


def test_what_is_wrong_is_counted_where_it_is_wrong() -> None:
    grave = [case for case in CASES if case.expected.level == "危险" and len(case.expected.actions) > 1]
    lowered, reordered, prose, cut = (case.question.text for case in grave[:4])
    answer = json.loads(right(lowered, None))
    turned = json.loads(right(reordered, None))
    turned["动作"].reverse()
    said = {
        lowered: json.dumps({**answer, "级别": "提示"}, ensure_ascii=False),
        reordered: json.dumps(turned, ensure_ascii=False),
        prose: "踩刹车",
        cut: right(cut, None)[:-5],
    }
    found, wrong = measure(scripted(lambda user, seed: said.get(user) or right(user, seed)))
    (split,) = found.splits
    assert split.exact == Rate.of(36, 40) and {one.input for one in wrong} == set(said)
    assert split.order_free["动作"].count == split.fields["动作"].count + 1 == 38
    assert split.json_valid == Rate.of(38, 40) and split.schema_valid == Rate.of(38, 40)
    dangers = sum(case.expected.level == "危险" for case in CASES)
    assert split.gravest == Gravest(
        level="危险", recall=Rate.of(dangers - 3, dangers), precision=Rate.of(dangers - 3, dangers - 3), lowered=1
    )
    assert split.below == 1 and split.confusion is not None
    assert split.confusion.rows[2] == [1, 0, dangers - 3, 2], "the last column is no answer"
    by_input = {one.input: one for one in wrong}
    assert by_input[lowered].wrong == ["answer", "级别"] and by_input[lowered].given is not None
    assert by_input[prose].said == "踩刹车" and by_input[prose].given is None
    assert by_input[lowered].rule == DRIVING.explain(DRIVING.read_input(lowered)).rule
    text = dict(told(found))["test (40)"]
    assert "1 lowered" in text and "wrong by rule: " in text and "schema 95.00%" in text


def test_invariants_are_counted_by_id_and_cut_answers_too() -> None:
    def always_go(user: str, seed: int | None) -> str:
        return '{"动作": ["保持观察"], "级别": "提示", "话术": "好"}' if "车门:打开" in user else right(user, seed)

    open_door = [case for case in CASES if "车门:打开" in case.question.text]
    found, _ = measure(scripted(always_go, finished=False), open_door)
    (split,) = found.splits
    assert split.cut == len(open_door)
    if split.schema_valid.count:
        assert split.violations and max(split.violations.values()) <= len(open_door)
        assert split.violating is not None and split.violating.count > 0


def test_under_the_schema_every_split_is_measured_twice() -> None:
    target = scripted()
    found, _ = measure(target, CASES[:5], constrain=True)
    assert [(split.split, split.constrained) for split in found.splits] == [("test", False), ("test", True)]
    assert isinstance(target.runtime, ScriptedRuntime)
    assert [asked.schema is not None for asked in target.runtime.asked].count(True) == 5


def test_a_question_that_is_refused_is_counted_and_a_target_that_is_gone_is_said() -> None:
    def refuse(user: str, seed: int | None) -> Reply:
        return InputError("too long", hint="shorten it") if user == LINES[0] else right(user, seed)

    found, wrong = measure(scripted(refuse))
    assert found.splits[0].failed == 1 and wrong[0].reason == "too long"

    def gone(user: str, seed: int | None) -> Reply:
        return RuntimeFailure("gone", hint="start it") if user == LINES[7] else right(user, seed)

    with pytest.raises(RuntimeFailure, match="gone"):
        measure(scripted(gone))


def test_a_target_that_changes_meanwhile_is_said() -> None:
    digests = iter("ab")
    target = Target(
        "scripted", "other", DRIVING, ScriptedRuntime(), None, None, None, "", "", lambda: next(digests)
    )
    with pytest.raises(ModelError, match="was changed while it was measured"):
        measure(target, CASES[:3])


def test_judging_and_generating_say_the_same(run: Path) -> None:
    from drivecoach.evaluate.answers import generate_all
    from drivecoach.evaluate.target import open_target

    for link in ("", "export/merged"):
        with open_target(str(run / link)) as target:
            texts = ["前方路口有行人", "雨天", "第3个问题"]
            said = [reply.text for reply in generate_all(target, [Case(Question(text), "") for text in texts])]
            # Right where it says what it says; wrong where it should say something else. A text that was cut by the
            # limit of tokens is no whole answer, so that it is generated again.
            cases: list[AnyCase] = [Case(Question(text), answer) for text, answer in zip(texts, said, strict=True)]
            assert [reply.text for reply in ask_all(target, cases)] == said
            others: list[AnyCase] = [Case(Question(text), "不") for text in texts]
            assert [reply.text for reply in ask_all(target, others)] == said
