"""When to speak: a pure function of what was said, what is so, what should be said about it, and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from drivecoach.live.settings import SETTINGS, Settings

_SENTENCES = 256
"""Different sentences that a history remembers; more cannot be said within a sentence's rest."""


class Reason(StrEnum):
    """Why the voice keeps silent."""

    EXPIRED = "no state has come for too long"
    WAITING = "the answer to this state is not there yet"
    INVALID = "the answer is not valid"
    NOTHING = "the answer has no sentence"
    BEING_SAID = "the sentence is being said"
    RESTING = "the sentence was said a moment ago"
    VOICE = "the voice says nothing this mild"
    SAID = "it was said, and nothing has changed"
    UNSTABLE = "the state has not stood long enough"
    SPEAKING = "another sentence is being said"
    PAUSE = "the pause after the last sentence"


@dataclass(frozen=True)
class State:
    """What is so: the canonical text of the newest state."""

    text: str
    since: float
    """When it became so."""
    seen: float
    """When it came last."""


@dataclass(frozen=True)
class Instruction:
    """What should be said about one state."""

    state: str
    """The canonical text of the state that it answers."""
    speech: str
    level: str = ""
    danger: bool = False
    """Whether its level is the gravest of several."""
    mild: bool = True
    """Whether its level is the mildest."""
    valid: bool = True


@dataclass(frozen=True)
class Utterance:
    """A sentence that was said."""

    speech: str
    began: float
    ends: float
    """When it is over, as far as known; when it was cut off, where it was."""


@dataclass(frozen=True)
class Say:
    """Say it now; ``interrupts``: what is being said is cut off first."""

    instruction: Instruction
    interrupts: bool
    seconds: float
    """About how long it takes to say."""


@dataclass(frozen=True)
class Silent:
    """Say nothing, and why."""

    reason: Reason
    until: float | None = None
    """When this may change, with nothing new coming; None where only something new can change it."""


Decision = Say | Silent


@dataclass(frozen=True)
class History:
    """What was said, each sentence by its last time, in the order of their beginnings."""

    said: tuple[Utterance, ...] = ()

    @property
    def last(self) -> Utterance | None:
        """The last utterance."""
        return self.said[-1] if self.said else None

    def of(self, speech: str) -> Utterance | None:
        """The last time that this sentence was said."""
        return next((one for one in reversed(self.said) if one.speech == speech), None)

    def after(self, say: Say, now: float) -> History:
        """The history once ``say`` has begun: what it interrupts ends here."""
        before = [replace(one, ends=min(one.ends, now)) for one in self.said if one.speech != say.instruction.speech]
        begun = Utterance(say.instruction.speech, now, now + say.seconds)
        return History((*before[1 - _SENTENCES :], begun))


def decide(
    history: History, state: State, instruction: Instruction | None, now: float, settings: Settings = SETTINGS
) -> Decision:
    """Whether to say the ``instruction`` at the time ``now``; where not, why not.

    A danger is said at once and cuts off anything else. All else waits for a state that stands, for its turn, and for
    the voice that was chosen. What answers another state than this one is never said.
    """
    if now > state.seen + settings.expires:
        return Silent(Reason.EXPIRED)
    if instruction is None or instruction.state != state.text:
        return Silent(Reason.WAITING)
    if not instruction.valid:
        return Silent(Reason.INVALID)
    if not instruction.speech.strip():
        return Silent(Reason.NOTHING)
    said, last = history.of(instruction.speech), history.last
    speaks = last is not None and now < last.ends
    if said is not None:
        rested = said.ends + (settings.danger_rest if instruction.danger else settings.rest)
        if now < said.ends:
            return Silent(Reason.BEING_SAID, rested)
        if now < rested:
            return Silent(Reason.RESTING, rested)
    if not instruction.danger:
        if settings.voice == "essential":
            return Silent(Reason.VOICE)
        if settings.voice == "normal" and instruction.mild and said is not None:
            if said.began >= state.since:
                return Silent(Reason.SAID)
            if now < said.ends + settings.mild_rest:
                return Silent(Reason.RESTING, said.ends + settings.mild_rest)
        if now < state.since + settings.stable:
            return Silent(Reason.UNSTABLE, state.since + settings.stable)
        if last is not None and now < last.ends + settings.pause:
            return Silent(Reason.SPEAKING if speaks else Reason.PAUSE, last.ends + settings.pause)
    return Say(instruction, speaks, settings.speech_seconds(instruction.speech))
