"""When to speak, one decision at a time: each reason for a silence, and each time after which it ends."""

from __future__ import annotations

import pytest

from drivecoach.errors import RecipeError
from drivecoach.live import (
    SETTINGS,
    Decision,
    History,
    Instruction,
    Reason,
    Say,
    Settings,
    Silent,
    State,
    Utterance,
    decide,
    read_settings,
)

HINT = Instruction("s", "go on", "hint")
WARNING = Instruction("s", "too fast", "warning", mild=False)
DANGER = Instruction("s", "stop", "danger", danger=True, mild=False)
NEW = History()


def at(now: float, instruction: Instruction | None, history: History = NEW, **settings: float | str) -> Decision:
    """The decision about a state that began at 0 and was seen just now."""
    return decide(history, State("s", 0.0, now), instruction, now, read_settings(dict(settings)))


def test_a_danger_is_said_at_once_and_cuts_off_what_is_said() -> None:
    assert at(0.0, DANGER) == Say(DANGER, False, SETTINGS.speech_seconds("stop"))
    speaks = History((Utterance("go on", 0.0, 3.0),))
    decision = at(1.0, DANGER, speaks)
    assert isinstance(decision, Say) and decision.interrupts
    after = speaks.after(decision, 1.0)
    assert [(one.speech, one.ends) for one in after.said] == [("go on", 1.0), ("stop", 1.0 + decision.seconds)]


@pytest.mark.parametrize("instruction", [HINT, WARNING])
def test_all_else_waits_until_the_state_stands(instruction: Instruction) -> None:
    assert at(0.4, instruction) == Silent(Reason.UNSTABLE, 0.5)
    assert isinstance(at(0.5, instruction), Say)
    assert isinstance(at(0.1, instruction, stable=0.1), Say)


def test_what_answers_another_state_is_never_said() -> None:
    old = Instruction("before", "stop", "danger", danger=True)
    assert at(1.0, old) == Silent(Reason.WAITING)
    assert at(1.0, None) == Silent(Reason.WAITING)


def test_what_nobody_has_seen_for_long_is_no_longer_true() -> None:
    state = State("s", 0.0, 1.0)
    assert isinstance(decide(NEW, state, DANGER, 3.0), Say)
    assert decide(NEW, state, DANGER, 3.1) == Silent(Reason.EXPIRED)


def test_no_answer_that_is_not_valid_and_none_without_words_is_said() -> None:
    assert at(1.0, Instruction("s", "stop", "danger", danger=True, valid=False)) == Silent(Reason.INVALID)
    assert at(1.0, Instruction("s", " ", "hint")) == Silent(Reason.NOTHING)


def test_a_sentence_rests_after_its_end_and_a_danger_for_less() -> None:
    said = History((Utterance("too fast", 0.0, 2.0), Utterance("stop", 2.0, 3.0)))
    assert at(1.9, WARNING, History(said.said[:1])) == Silent(Reason.BEING_SAID, 10.0)
    assert at(9.9, WARNING, said) == Silent(Reason.RESTING, 10.0)
    assert isinstance(at(10.0, WARNING, said), Say)
    assert at(5.9, DANGER, said) == Silent(Reason.RESTING, 6.0)
    assert isinstance(at(6.0, DANGER, said), Say)


def test_two_sentences_are_apart() -> None:
    said = History((Utterance("stop", 0.0, 2.0),))
    assert at(1.0, WARNING, said) == Silent(Reason.SPEAKING, 4.0)
    assert at(3.0, WARNING, said) == Silent(Reason.PAUSE, 4.0)
    assert isinstance(at(4.0, WARNING, said), Say)


def test_voices() -> None:
    assert at(1.0, WARNING, voice="essential") == Silent(Reason.VOICE)
    assert isinstance(at(1.0, DANGER, voice="essential"), Say)
    said = History((Utterance("go on", 1.0, 2.0),))
    assert at(60.0, HINT, said) == Silent(Reason.SAID)
    assert isinstance(at(60.0, HINT, said, voice="chatty"), Say)
    again = State("s", 5.0, 20.0)  # it has changed meanwhile
    assert decide(said, again, HINT, 20.0) == Silent(Reason.RESTING, 32.0)
    assert isinstance(decide(said, State("s", 5.0, 32.0), HINT, 32.0), Say)
    assert isinstance(at(60.0, WARNING, History((Utterance("too fast", 1.0, 2.0),))), Say), "a warning is repeated"


def test_a_history_forgets_and_keeps_each_sentence_once() -> None:
    history = NEW
    for number in range(600):
        history = history.after(Say(Instruction("s", f"sentence {number % 300}"), False, 1.0), number * 3.0)
    assert len(history.said) <= 256
    assert len({one.speech for one in history.said}) == len(history.said)
    assert history.last is not None and history.last.speech == "sentence 299"


def test_how_long_a_sentence_takes() -> None:
    assert SETTINGS.speech_seconds("停车！") == pytest.approx(0.6)
    assert SETTINGS.speech_seconds("stop") == pytest.approx(0.28)


def test_settings_are_checked_each_by_its_name() -> None:
    assert read_settings({"rest": "10"}) == Settings(rest=10)
    with pytest.raises(RecipeError) as told:
        read_settings({"rest": -1, "voice": "loud", "colour": 1, "pause": float("nan")})
    assert {fault.where for fault in told.value.faults} == {"rest", "voice", "colour", "pause"}
    assert "danger_rest" in told.value.hint
