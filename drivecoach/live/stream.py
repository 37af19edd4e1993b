"""One car's stream of states: what is asked about it, what is shown, and what is said, on a clock that is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.errors import DrivecoachError, InputError, RecipeError
from drivecoach.infer import Outcome, flat
from drivecoach.live.decide import Decision, History, Instruction, Reason, Say, Silent, State, decide
from drivecoach.live.event import Event, Trouble
from drivecoach.live.settings import SETTINGS, Settings
from drivecoach.text import shown

LATEST = 1e11
"""The largest time in seconds; what is larger is in milliseconds."""


class Stream:
    """Takes states, answers and the passing of time, each with the time ``now``, and gives what is to be told of it.

    Nothing waits here and nothing grows: there is one newest state, one question under way, one newest answer, and
    what was said. ``now`` never goes back; the states' own times only tell whether they come in order. ``text_of``
    makes the text of a state that came in another form than the domain's own.

    Raises RecipeError for a domain that does not say which text of an answer is spoken.
    """

    def __init__(
        self, domain: AnyDomain, settings: Settings = SETTINGS, text_of: Callable[[Any], str] | None = None
    ) -> None:
        if not domain.speaks:
            raise RecipeError(
                f"the domain {domain.name} does not say which text of an answer is spoken",
                hint=f"override spoken(answer) in {type(domain).__name__}",
            )
        self.domain = domain
        self.settings = settings
        self._text_of = text_of or domain.text_of
        self.history = History()
        self._state: State | None = None
        self._value: Any = None
        self._instruction: Instruction | None = None
        self._shown: Event | None = None
        self._asking: str | None = None
        self._wanted = False
        self._passed = 0
        self._time: float | None = None
        self._told: tuple[str, Reason] | None = None
        self._until: float | None = None

    @property
    def question(self) -> tuple[str, Any] | None:
        """The state to ask the model about now, as text and as value; None while it is asked, or nothing is new."""
        return (self._state.text, self._value) if self._wanted and self._asking is None and self._state else None

    @property
    def due(self) -> float | None:
        """When `advance` has something to do, if nothing comes before."""
        return self._until

    def receive(self, given: Any, now: float, time: object = None) -> list[Event]:
        """A state came: a text of the domain, or a mapping of its keys; ``time`` is its own, in seconds.

        What is no state, or comes too late, is told and leaves everything as it was.
        """
        events: list[Event] = []
        if time is not None and (event := self._order(time, now)) is not None:
            events.append(event)
            if event.reason != Trouble.CLOCK:
                return events
        try:
            value = self.domain.read_input(self._text_of(given))
            text = self.domain.write_input(value)
        except InputError as error:
            return [*events, self._trouble(Trouble.BROKEN, now, f"{flat(error)}; {error.hint}")]
        if self._state is not None and self._state.text == text:
            self._state = replace(self._state, seen=now)
        else:
            self._passed += self._asking is not None
            self._state, self._value = State(text, now, now), value
        known = self._instruction is not None and self._instruction.state == text
        self._wanted = not known and self._asking != text
        return [*events, *self.advance(now)]

    def ask(self) -> None:
        """The model is asked the `question` from now on."""
        assert self._state is not None  # noqa: S101  # or there were no question
        self._asking, self._wanted, self._passed = self._state.text, False, 0

    def answered(self, outcome: Outcome[Any] | DrivecoachError, now: float) -> list[Event]:
        """The model's answer to what was asked, or why there is none."""
        text, self._asking = self._asking, None
        assert text is not None and self._state is not None  # noqa: S101  # it was asked about a state
        failure = flat(outcome) if isinstance(outcome, DrivecoachError) else ""
        if isinstance(outcome, Outcome) and outcome.answer is None:
            failure = outcome.reason or outcome.status
        if failure:  # asked again with the next state: at once would be asked without end
            return [self._trouble(Trouble.FAILED, now, failure), *self.advance(now)]
        assert isinstance(outcome, Outcome)  # noqa: S101
        if text != self._state.text:
            self._wanted = True
            late = self._trouble(Trouble.LATE, now, f"of {outcome.seconds * 1000:.0f} ms", skipped=self._passed)
            return [late, *self.advance(now)]
        self._take(outcome, text)
        return self.advance(now)

    def advance(self, now: float) -> list[Event]:
        """The time is ``now``: say what has become due, and tell why nothing is said where that has changed."""
        if self._state is None:
            return []
        decision = decide(self.history, self._state, self._instruction, now, self.settings)
        if isinstance(decision, Say):
            self.history = self.history.after(decision, now)
            # What comes next is decided by the same rules: the sentence is being said.
            following = decide(self.history, self._state, self._instruction, now, self.settings)
            self._until = self._next(following)
            self._told = (self._state.text, Reason.BEING_SAID)
            return [self._event(decision, now)]
        self._until = self._next(decision)
        told = (self._state.text, decision.reason)
        # That an answer is awaited is no news: most are there within milliseconds. A sentence that was just said rests.
        if told == self._told or decision.reason == Reason.WAITING:
            return []
        self._told = told
        return [self._event(decision, now)]

    def _next(self, decision: Decision) -> float | None:
        assert self._state is not None  # noqa: S101
        if isinstance(decision, Say):
            return None
        if decision.reason == Reason.EXPIRED:
            return None
        expires = math.nextafter(self._state.seen + self.settings.expires, math.inf)
        return expires if decision.until is None else min(decision.until, expires)

    def _order(self, time: object, now: float) -> Event | None:
        """What is wrong with a state's time, if anything."""
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time <= LATEST:
            return self._trouble(Trouble.BROKEN, now, f"time: {shown(repr(time))} (allowed: seconds, 0 to {LATEST:g})")
        last, back = self._time, 0.0 if self._time is None else self._time - time
        if last is not None and 0 < back <= self.settings.disorder:
            return self._trouble(Trouble.DISORDER, now, f"{time:g} s after {last:g} s")
        self._time = float(time)
        return self._trouble(Trouble.CLOCK, now, f"from {last:g} s to {time:g} s") if back > 0 else None

    def _take(self, outcome: Outcome[Any], text: str) -> None:
        domain, answer = self.domain, outcome.answer
        level = domain.level(answer) if domain.levels else ""
        valid = outcome.status == "valid"
        self._instruction = Instruction(
            text,
            domain.spoken(answer),
            level,
            danger=len(domain.levels) > 1 and level == domain.levels[-1],
            mild=not domain.levels or level == domain.levels[0],
            valid=valid,
        )
        self._shown = Event(
            "silent",
            0.0,
            detail=outcome.reason,
            speech=self._instruction.speech,
            level=level,
            state=text,
            answer=domain.answer.dump(answer),
            status=outcome.status,
            source=outcome.source,
            milliseconds=round(outcome.seconds * 1000, 1),
            why=self._why(),
        )

    def _why(self) -> JsonObject | None:
        found = self.domain.explain(self._value)
        if found is None:
            return None
        read: JsonObject = dict(found.read)
        return {"rule": found.rule, "reason": found.reason, "read": read}

    def _event(self, decision: Decision, now: float) -> Event:
        assert self._state is not None  # noqa: S101  # or nothing were decided
        base = self._shown
        if base is None or base.state != self._state.text:
            base = Event("silent", 0.0, state=self._state.text)
        time = round(now, 3)
        if isinstance(decision, Silent):
            return replace(base, kind="silent", time=time, reason=str(decision.reason))
        return replace(base, kind="say", time=time, interrupts=decision.interrupts, seconds=round(decision.seconds, 2))

    def _trouble(self, trouble: Trouble, now: float, detail: str, skipped: int = 0) -> Event:
        return Event("trouble", round(now, 3), reason=str(trouble), detail=shown(detail, 500), skipped=skipped)
