"""Validated answers, one and many: each input becomes exactly one outcome row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from pydantic import BaseModel

from drivecoach.chat.template import split
from drivecoach.errors import DrivecoachError, InputError, RuntimeFailure
from drivecoach.registry import Domain
from drivecoach.runtime import Completion, Runtime

Status = Literal["valid", "invalid", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    ``valid``: the answer follows the schema and breaks no invariant. ``invalid``: it does not (``reason`` says how).
    ``failed``: there is no answer, because the input could not be read or the server did not answer.
    """

    row: int
    input: str
    status: Status
    answer: Any = None
    """The parsed answer (for the driving domain an Instruction), also when it breaks an invariant."""
    thinking: str = ""
    reason: str = ""
    source: str = "model"
    """Who answered: ``model``, or ``rules`` where the rule teacher's answer replaced the model's."""
    seconds: float = 0.0
    """From the question to the runtime until its answer, queueing included."""

    def to_json(self) -> dict[str, Any]:
        """The row as it is written to an outcome file."""
        parsed = isinstance(self.answer, BaseModel)  # else free text, or None
        return {
            "row": self.row,
            # Half a surrogate pair, which JSON may bring, cannot be written anywhere.
            "input": self.input.encode("utf-8", "backslashreplace").decode(),
            "status": self.status,
            "source": self.source,
            "answer": self.answer.model_dump(mode="json", by_alias=True) if parsed else self.answer,
            **({"thinking": self.thinking} if self.thinking else {}),
            "reason": self.reason,
            "milliseconds": round(self.seconds * 1000, 1),
        }


def ask(runtime: Runtime, domain: Domain, text: str, row: int = 1) -> Outcome:
    """Ask for one input, and judge the answer; never raises for bad input or a bad answer.

    A runtime that does not answer makes the row ``failed``.
    """
    try:
        state = domain.read_input(text)
    except InputError as error:
        return Outcome(row, text, "failed", reason=f"input: {flat(error)}")
    canonical = domain.write_input(state)
    try:
        completion = runtime.generate(canonical)
    except (InputError, RuntimeFailure) as error:
        return Outcome(row, canonical, "failed", reason=flat(error))
    return judge(domain, state, completion, row)


def judge(domain: Domain, state: Any, completion: Completion, row: int = 1, *, check: bool = True) -> Outcome:
    """What became of an answer: taken apart, read by the schema and, with ``check``, held against the invariants."""
    canonical = domain.write_input(state)
    parts = split(completion.text)
    seen: dict[str, Any] = {"thinking": parts.thinking, "seconds": completion.seconds}
    try:
        answer = domain.read_answer(parts.text)
    except InputError as error:
        reason = flat(error) if completion.finished else "the answer was cut by the token limit"
        return Outcome(row, canonical, "invalid", None, reason=f"schema: {reason}", **seen)
    broken = "; ".join(str(item) for item in domain.violations(state, answer)) if check else ""
    status: Status = "invalid" if broken else "valid"
    return Outcome(row, canonical, status, answer, reason=f"invariants: {broken}" if broken else "", **seen)


def ask_many(runtime: Runtime, domain: Domain, texts: Iterable[str]) -> Iterator[Outcome]:
    """Ask for every text, as many at once as the runtime takes, and yield the outcomes in input order.

    Memory holds a few times ``runtime.slots`` rows, however long ``texts`` is.
    """
    numbered = enumerate(texts, start=1)
    with ThreadPoolExecutor(runtime.slots) as pool:
        waiting: list[Future[Outcome]] = []
        try:
            while True:
                for row, text in islice(numbered, 4 * runtime.slots - len(waiting)):
                    waiting.append(pool.submit(ask, runtime, domain, text, row))
                if not waiting:
                    return
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def flat(error: DrivecoachError) -> str:
    """An error on one line, every fault named."""
    return "; ".join([error.message, *map(str, error.faults)])
