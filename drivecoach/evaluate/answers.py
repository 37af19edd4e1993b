"""What a target says to many questions: judged where its weights can be looked at, generated where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drivecoach.batch.answerer import THREADS
from drivecoach.batch.hosts import GivenUp, Hosts, Work
from drivecoach.errors import InputError, ModelError
from drivecoach.evaluate.scores import AnyCase
from drivecoach.evaluate.target import Target
from drivecoach.evaluate.weights import WeightsRuntime
from drivecoach.infer import flat
from drivecoach.native.judge import judge
from drivecoach.runtime import Completion
from drivecoach.runtime.llamacpp import LlamaCpp

Advance = Callable[[], None]


@dataclass(frozen=True)
class Reply:
    """What was said to one question."""

    text: str
    """Raw, as the model said it; empty where there is no answer."""
    finished: bool = True
    """False when the answer was cut by the limit of tokens."""
    error: str = ""
    """Why there is no answer at all."""


def ask_all(
    target: Target, cases: Sequence[AnyCase], *, constrain: bool = False, advance: Advance = lambda: None
) -> list[Reply]:
    """A reply to every case, in order: the text that greedy decoding writes. ``advance`` is called once a reply.

    Where the weights are here and nothing is thought before an answer, all right answers are found by judging, several
    times as fast, and only the others are generated. Raises RuntimeFailure when the target no longer answers.
    """
    replies: dict[int, Reply] = {}
    for place, right in () if constrain else _judged(target, cases):
        if right:
            replies[place] = Reply(target.domain.write_answer(cases[place].expected))
            advance()
    left = [place for place in range(len(cases)) if place not in replies]
    for place, reply in zip(left, generate_all(target, [cases[place] for place in left], constrain), strict=True):
        replies[place] = reply
        advance()
    return [replies[place] for place in range(len(cases))]


def generate_all(target: Target, cases: Sequence[AnyCase], constrain: bool = False) -> Iterator[Reply]:
    """A reply to every case, in order, every one generated; as many at a time as the target takes."""
    hosts, work = Hosts([lambda: target.runtime]), Work()
    schema = target.domain.answer.schema if constrain else None

    def ask(case: AnyCase) -> Reply:
        asked = case.question
        try:
            found = hosts.generate(asked.text, asked.history, think=asked.think, schema=schema, work=work)
        except (InputError, GivenUp) as error:
            return Reply("", error=flat(error))
        return Reply(found.text, found.finished)

    pool = ThreadPoolExecutor(max(1, min(THREADS, len(cases))))
    try:
        yield from pool.map(ask, cases)
    except BaseException as error:
        hosts.stop(work, error)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ask_alone(target: Target, cases: Sequence[AnyCase], advance: Advance = lambda: None) -> Iterator[Completion]:
    """The answers to ``cases``, one after the other with no other in flight: what one answer costs."""
    hosts = Hosts([lambda: target.runtime])
    for case in cases:
        try:
            yield hosts.generate(case.question.text, case.question.history, think=case.question.think)
        except (InputError, GivenUp):
            continue
        finally:
            advance()


def _judged(target: Target, cases: Sequence[AnyCase]) -> Iterator[tuple[int, bool]]:
    """By the place of a case, whether the target would write its right answer to the letter; fewer, or none, where
    that cannot be looked at."""
    runtime, chat = target.runtime, target.chat
    if chat is None or chat.thinking != "strip":
        return
    rows, places = [], []
    for place, case in enumerate(cases):
        try:
            prompt = chat.prompt(case.question.text, case.question.history)
        except InputError:
            continue
        rows.append((prompt, target.domain.write_answer(case.expected)))
        places.append(place)
    if isinstance(runtime, WeightsRuntime):
        yield from zip(places, runtime.judge(rows), strict=True)
    elif isinstance(runtime, LlamaCpp) and runtime.settings["temperature"] == 0 and target.gguf:
        limit = int(runtime.settings["n_predict"])
        try:
            verdicts = judge(target.gguf, rows, length=runtime.context, end=runtime.chat.end)
            for place, verdict in zip(places, verdicts, strict=True):
                yield place, verdict.right and verdict.tokens <= limit
        except ModelError:  # a library of other layouts, or a row longer than the context: generating tells which
            return
