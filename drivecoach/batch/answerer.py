"""Many questions in order: each different one is asked once, as many at a time as the servers take."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

from drivecoach.batch.hosts import Hosts, Work
from drivecoach.batch.journal import Journal
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.infer import Answer, Engine, Generate, Input, Outcome, Question, flat
from drivecoach.runtime import Completion

WINDOW = 8192
"""Rows that may wait behind one slow row; what memory holds."""
THREADS = 64


@dataclass
class Counts:
    """What a batch did."""

    asked: int = 0
    """Questions that were put to a model."""
    reused: int = 0
    """Rows answered from the journal or by an identical row's answer."""


@dataclass(frozen=True)
class _Asked(Generic[Input, Answer]):
    """A question that is to be put to a model."""

    key: str
    value: Input
    question: Question
    found: Future[Outcome[Answer]]


class _Todo(Generic[Input, Answer]):
    """What is to be asked, and how many threads are free to.

    Of questions that are asked many at a time, neighbours are taken together: the prefixes that their prompts share
    are decoded once. So those that wait are sorted, half a window at a time.
    """

    def __init__(self) -> None:
        self.idle = threading.Semaphore(THREADS)
        self._waiting: deque[_Asked[Input, Answer]] = deque()
        self._sorted: deque[_Asked[Input, Answer]] = deque()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        with self._lock:  # while some are sorted, they are in neither
            return bool(self._waiting or self._sorted)

    def put(self, asked: _Asked[Input, Answer]) -> None:
        """One more question."""
        self._waiting.append(asked)

    def take(self, count: int) -> list[_Asked[Input, Answer]]:
        """The next questions, ``count`` at most: one as it came, or several that are alike."""
        with self._lock:
            if count > 1 and not self._sorted:
                some = [self._waiting.popleft() for _ in range(min(WINDOW // 2, len(self._waiting)))]
                self._sorted.extend(sorted(some, key=lambda asked: asked.question.text))
            source = self._sorted or self._waiting
            return [source.popleft() for _ in range(min(count, len(source)))]


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
        todo: _Todo[Input, Answer] = _Todo()
        pool = ThreadPoolExecutor(THREADS)
        work = Work()
        try:
            for row, asked in enumerate(questions, start=1):
                question = asked if isinstance(asked, Question) else Question(asked)
                window.append(self._begin(row, question, asking, todo))
                if todo and todo.idle.acquire(blocking=False):
                    pool.submit(self._settle_all, todo, work)
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
        todo: _Todo[Input, Answer],
    ) -> _Waiting[Answer]:
        """Read an input and put it among what is to be asked, unless its answer is known or under way."""
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
            known = asking[key] = Future()
            todo.put(_Asked(key, value, question, known))
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

    def _settle_all(self, todo: _Todo[Input, Answer], work: Work) -> None:
        """Work until nothing is left to be asked."""
        working = True
        while working:
            while todo:
                self._settle_some(todo, work)
            todo.idle.release()
            # What came before the release woke nobody.
            working = bool(todo) and todo.idle.acquire(blocking=False)

    def _settle_some(self, todo: _Todo[Input, Answer], work: Work) -> None:
        """Ask the next question that is to be asked, or as many as one call of the runtime should have."""
        some = todo.take(1 if self._engine.constrain else self._hosts.together)
        if not some:  # another thread has taken them
            return
        try:
            if len(some) > 1:
                questions = [(one.question.text, one.question.history, one.question.think) for one in some]
                first: Sequence[Completion | InputError | None] = self._hosts.generate_all(questions, work)
            else:
                first = [None] * len(some)
            outcomes: list[Outcome[Answer]] = []
            try:
                outcomes.extend(self._settle(one, said, work) for one, said in zip(some, first, strict=True))
            finally:  # those before a failure are kept
                kept = zip(some, outcomes, strict=False)
                if self._journal is not None:
                    self._journal.put((one.key, outcome) for one, outcome in kept if outcome.status != "failed")
            for one, outcome in zip(some, outcomes, strict=True):
                one.found.set_result(outcome)
        except BaseException as error:
            self._hosts.stop(work, error)
            for one in some:
                if not one.found.done():
                    one.found.set_exception(error)

    def _settle(
        self, asked: _Asked[Input, Answer], said: Completion | InputError | None, work: Work
    ) -> Outcome[Answer]:
        """``said``: the first answer, where it is there already."""
        generate: Generate = partial(self._hosts.generate, work=work)
        try:
            return self._engine.settle(asked.value, asked.question, generate, said)
        except RuntimeFailure as error:
            if work.error is not None:
                raise
            return Outcome(1, asked.question.text, "failed", reason=flat(error))
