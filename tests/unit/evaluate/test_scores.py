"""Scores: what is asked, in which turn of which conversation, and how the answers are counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from drivecoach.chat import Chat, Message
from drivecoach.chat.template import NO_THINKING
from drivecoach.domains.driving import DRIVING, Instruction
from drivecoach.evaluate.scores import score
from drivecoach.runtime import Completion
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime, right

PAIRS: list[tuple[str, Instruction]] = [(line, DRIVING.teach(DRIVING.read_input(line))) for line in lines(30)]


class Embedded(ScriptedRuntime):
    """Answers prompts by the rules, as the embedded engine would, and remembers them."""

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self.chat = chat
        self.prompts: list[str] = []

    def complete(self, prompt: str) -> Completion:
        """The rules' answer to the line in the last turn."""
        self.prompts.append(prompt)
        line = prompt[prompt.rindex("<特征>") : prompt.rindex("</特征>") + len("</特征>")]
        return Completion(right(line, None), prompt_tokens=1, completion_tokens=1, seconds=0.01, finished=True)


def test_the_rules_own_answers_are_all_right() -> None:
    scores = score(ScriptedRuntime(), DRIVING, PAIRS)
    assert scores.rows == 30 and scores.schema_valid == 1 and scores.violations == 0 and scores.wrong == []
    assert set(scores.right.values()) == {1.0}


def test_wrong_and_unreadable_answers_are_counted_and_shown() -> None:
    replies = {PAIRS[0][0]: "踩刹车", PAIRS[1][0]: right(PAIRS[2][0], None)}
    assert PAIRS[1][1] != PAIRS[2][1]
    scores = score(ScriptedRuntime(lambda user, seed: replies.get(user) or right(user, seed)), DRIVING, PAIRS)
    assert scores.schema_valid == pytest.approx(29 / 30)
    assert [row["input"] for row in scores.wrong] == [PAIRS[0][0], PAIRS[1][0]]
    assert min(scores.right.values()) == pytest.approx(28 / 30)


@pytest.mark.parametrize("think", [True, False])
def test_histories_stand_before_their_inputs(think: bool) -> None:
    chat = Chat("教练", "mixed")
    turns: Sequence[Message] = [{"role": "user", "content": "早"}, {"role": "assistant", "content": "系好安全带"}]
    histories = [turns, *[()] * 29]
    runtime = Embedded(chat)
    scores = score(runtime, DRIVING, PAIRS, histories=histories, think=think)
    expected = [chat.prompt(line, history, think=think) for (line, _), history in zip(PAIRS, histories, strict=True)]
    assert runtime.prompts == expected and "系好安全带" in expected[0]
    assert scores.rows == 30 and set(scores.right.values()) == {1.0}


def test_a_model_that_can_think_is_told_not_to() -> None:
    runtime, moved = Embedded(Chat("教练", "mixed")), []
    score(runtime, DRIVING, PAIRS, lambda: moved.append(1), think=False)
    assert len(runtime.prompts) == len(moved) == 30
    assert all(prompt.endswith(NO_THINKING) for prompt in runtime.prompts)
    assert not runtime.asked, "the plain way would let it think"
