"""The per-batch function: texts in, one outcome each, in order; the same here, in `Coach` and under Ray."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from drivecoach.batch.hosts import GivenUp, Hosts
from drivecoach.batch.journal import Journal
from drivecoach.errors import InputError
from drivecoach.infer import Outcome, flat, judge
from drivecoach.registry import Domain

Guard = Literal["flag", "replace", "off"]
"""What happens to an answer that breaks an invariant: marked invalid, replaced by the rules' answer, or let pass."""

ASKS = 3
"""How often an invalid answer is asked for, each time but the first with another seed."""
WINDOW = 2048
"""Rows that may wait behind one slow row; what memory holds."""
THREADS = 64


@dataclass
class Counts:
    """What a batch did."""

    asked: int = 0
    """States that were put to a model."""
    reused: int = 0
    """Rows answered from the journal or by an identical row's answer."""
    asked_again: int = 0
    """Answers that were invalid and asked for again."""


class Answerer:
    """Answers for any number of texts, from ``hosts``, with what ``journal`` already has."""

    def __init__(self, hosts: Hosts, domain: Domain, journal: Journal, *, guard: Guard = "flag") -> None:
        self.counts = Counts()
        self._hosts = hosts
        self._domain = domain
        self._journal = journal
        self._guard = guard

    def answer_all(self, texts: Iterable[str]) -> Iterator[Outcome]:
        """One outcome per text, in order; identical states are asked once. Memory holds WINDOW rows.

        Raises RuntimeFailure for a failure that is permanent or of all servers, StorageError for a full disk; what
        was answered until then is in the journal.
        """
        window: deque[tuple[int, str | None, Outcome | Future[Outcome]]] = deque()
        asking: dict[str, Future[Outcome]] = {}
        pool = ThreadPoolExecutor(THREADS)
        self._hosts.start()
        try:
            for row, text in enumerate(texts, start=1):
                try:
                    state = self._domain.read_input(text)
                except InputError as error:
                    window.append((row, None, Outcome(row, text, "failed", reason=f"input: {flat(error)}")))
                else:
                    key = self._domain.write_input(state)
                    known: Outcome | Future[Outcome] | None = asking.get(key) or self._recall(key)
                    if known is None:
                        self.counts.asked += 1
                        known = asking[key] = pool.submit(self._settle, key, state)
                    else:
                        self.counts.reused += 1
                    window.append((row, key, known))
                if len(window) >= WINDOW:
                    yield self._next(window, asking)
            while window:
                yield self._next(window, asking)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._hosts.stop(error)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _next(
        self, window: deque[tuple[int, str | None, Outcome | Future[Outcome]]], asking: dict[str, Future[Outcome]]
    ) -> Outcome:
        row, key, found = window.popleft()
        if isinstance(found, Outcome):
            return replace(found, row=row)
        outcome = found.result()
        if key is not None:
            asking.pop(key, None)  # from now on the journal knows it, unless it failed
        return replace(outcome, row=row)

    def _settle(self, key: str, state: Any) -> Outcome:
        try:
            outcome = self._ask(key, state)
            if outcome.status != "failed":
                record = outcome.to_json()
                del record["row"], record["input"]
                self._journal.put(key, record)
            return outcome
        except BaseException as error:
            self._hosts.stop(error)
            raise

    def _ask(self, key: str, state: Any) -> Outcome:
        best: Outcome | None = None
        for ask in range(ASKS):
            try:
                completion = self._hosts.ask(key, seed=ask or None)
            except (GivenUp, InputError) as error:
                best = best or Outcome(0, key, "failed", reason=flat(error))
                break
            outcome = judge(self._domain, state, completion, check=self._guard != "off")
            if outcome.status == "valid":
                return outcome
            self.counts.asked_again += ask + 1 < ASKS
            if best is None or best.answer is None:
                best = outcome
        assert best is not None  # noqa: S101  # ASKS is at least one
        rule = self._domain.teach(state) if self._guard == "replace" and best.status == "invalid" else None
        if rule is None:
            return best
        return replace(best, status="valid", answer=rule, source="rules", reason=f"replaced: {best.reason}")

    def _recall(self, key: str) -> Outcome | None:
        record = self._journal.get(key)
        if record is None:
            return None
        answer = record["answer"]
        parsed = (
            None
            if answer is None
            else self._domain.read_answer(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))
        )
        return Outcome(
            0,
            key,
            record["status"],
            parsed,
            record.get("thinking", ""),
            record["reason"],
            record["source"],
            record["milliseconds"] / 1000,
        )
