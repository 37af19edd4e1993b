"""Many questions in order: each different one is asked once, as many at a time as the servers take."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

from drivecoach.batch.hosts import Hosts, Work
from drivecoach.batch.journal import Journal
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.infer import Answer, Engine, Generate, Input, Outcome, Question, flat

WINDOW = 2048
"""Rows that may wait behind one slow row; what memory holds."""
THREADS = 64


@dataclass
class Counts:
    """What a batch did."""

    asked: int = 0
    """Questions that were put to a model."""
    reused: int = 0
    """Rows answered from the journal or by an identical row's answer."""


@dataclass
class _Waiting(Generic[Answer]):
    """One row of the window; ``key`` None where nothing is asked."""

    row: int
    key: str | None
    found: Outcome[Answer] | Future[Outcome[Answer]]

    @property
    def is_done(self) -> bool:
        """Whether its outcome is there."""
        return isinstance(self.found, Outcome) or self.found.done()


class Answerer(Generic[Input, Answer]):
    """Answers for any number of questions by ``engine``, which asks ``hosts``; ``journal`` keeps what was answered."""

    def __init__(
        self, hosts: Hosts, engine: Engine[Input, Answer], journal: Journal[Input, Answer] | None = None
    ) -> None:
        self.counts = Counts()
        self._hosts = hosts
        self._engine = engine
        self._journal = journal

    def answer_all(self, questions: Iterable[str | Question]) -> Iterator[Outcome[Answer]]:
        """One outcome per question, in order, each as soon as it and those before it are there.

        Memory holds WINDOW rows. Raises RuntimeFailure for a failure that is permanent or of all servers, StorageError
        for a full disk, and whatever ``questions`` raises; what was answered until then is in the journal.
        """
        window: deque[_Waiting[Answer]] = deque()
        asking: dict[str, Future[Outcome[Answer]]] = {}
        pool = ThreadPoolExecutor(THREADS)
        work = Work()
        try:
            for row, asked in enumerate(questions, start=1):
                question = asked if isinstance(asked, Question) else Question(asked)
                window.append(self._begin(row, question, asking, pool, work))
                while window and (window[0].is_done or len(window) >= WINDOW):
                    yield self._next(window, asking)
            while window:
                yield self._next(window, asking)
        except BaseException as error:
            self._hosts.stop(work, error)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _begin(
        self,
        row: int,
        question: Question,
        asking: dict[str, Future[Outcome[Answer]]],
        pool: ThreadPoolExecutor,
        work: Work,
    ) -> _Waiting[Answer]:
        """Read an input and have it asked for, unless its answer is known or under way."""
        domain = self._engine.domain
        try:
            value = domain.read_input(question.text)
        except InputError as error:
            return _Waiting(row, None, Outcome(row, question.text, "failed", reason=f"input: {flat(error)}"))
        question = replace(question, text=domain.write_input(value))
        key = question.key
        known: Outcome[Answer] | Future[Outcome[Answer]] | None = asking.get(key)
        if known is None and self._journal is not None:
            known = self._journal.get(key)
        if known is None:
            self.counts.asked += 1
            known = asking[key] = pool.submit(self._settle, key, value, question, work)
        else:
            self.counts.reused += 1
        return _Waiting(row, key, known)

    def _next(
        self, window: deque[_Waiting[Answer]], asking: dict[str, Future[Outcome[Answer]]]
    ) -> Outcome[Answer]:
        first = window.popleft()
        if isinstance(first.found, Outcome):
            return replace(first.found, row=first.row)
        outcome = first.found.result()
        if first.key is not None:
            asking.pop(first.key, None)  # from now on the journal knows it, unless it failed
        return replace(outcome, row=first.row)

    def _settle(self, key: str, value: Input, question: Question, work: Work) -> Outcome[Answer]:
        generate: Generate = partial(self._hosts.generate, work=work)
        try:
            outcome = self._engine.settle(value, question, generate)
            if outcome.status != "failed" and self._journal is not None:
                self._journal.put(key, outcome)
            return outcome
        except RuntimeFailure as error:
            if work.error is not None:
                raise
            return Outcome(1, question.text, "failed", reason=flat(error))
        except BaseException as error:
            self._hosts.stop(work, error)
            raise
