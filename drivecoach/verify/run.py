"""Answering every input that a domain has, block by block, and counting what comes."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from drivecoach import __version__
from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import Hosts
from drivecoach.domain import AnyDomain
from drivecoach.domain.scores import WHOLE
from drivecoach.errors import DataError, ModelError, RuntimeFailure
from drivecoach.evaluate.target import Target
from drivecoach.files import written_aside
from drivecoach.infer import Engine, Outcome, Question
from drivecoach.native.decode import Verdict
from drivecoach.native.judge import judge
from drivecoach.native.library import wheel_version
from drivecoach.progress import progress
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.verify import certificate as paper
from drivecoach.verify.certificate import Cell, Certificate, Counterexample, Counts, Digests
from drivecoach.verify.journal import JOURNAL, Block, Journal, pack, unpack
from drivecoach.verify.states import (
    State,
    add_to,
    check_countable,
    domain_digest,
    rule_of,
    rules_digest,
    states,
    template_digest,
)

BLOCK = 8192
"""States that are finished together: what an interruption loses at most."""
MEASURED = "measured.npy"
"""For every state, in the domain's order: how likely the answer was (a logarithm), and the right one's margin."""


@dataclass(frozen=True)
class _Found:
    """One state and what is known of the model's answer to it."""

    state: State
    verdict: Verdict | None
    """None where nothing could be judged without generating."""
    outcome: Outcome[Any] | None
    """None where the answer is the right one to the letter."""


def verify(target: Target, folder: Path, say: Callable[[str], None] = lambda _: None) -> Certificate:
    """Answer every input of the target's domain and write certificate and counterexamples into ``folder``.

    Goes on from the finished blocks of an interrupted run; a certificate of the very same is not made again. Raises
    RecipeError for a domain that cannot be counted, ModelError for a model that changes meanwhile, RuntimeFailure for
    one that does not answer, or nothing that can be read; what is done is kept.
    """
    domain = target.domain
    check_countable(domain)
    model = target.digest()
    known = {
        "model": model,
        "template": template_digest(target.chat),
        "rules": rules_digest(domain),
        "domain": domain_digest(domain),
    }
    if (made := _made(folder, known)) is not None:
        say(f"verify: unchanged, {folder / paper.CERTIFICATE} is of this very model and these rules")
        return made
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / JOURNAL, {**known, "block": BLOCK})
    walked = hashlib.sha256()
    every = _digested(states(domain), walked)
    with progress("verify", sum(1 for _ in domain.inputs()), unit="state") as task:
        if journal.done:
            done = sum(1 for _ in islice(every, journal.done * BLOCK))
            wrong = sum(len(block.counterexamples) for block in journal.blocks())
            say(f"verify: going on from state {done:,}")
            task.begin(done)
        else:
            wrong = 0
        found = _found(target, every)
        while block := list(islice(found, BLOCK)):
            counted = _counted(domain, block)
            if target.digest() != model:
                raise ModelError(
                    f"{target.name} has changed while it was verified",
                    hint=f"the blocks that were done are kept; of what it is now, begin anew: rm {journal.path}",
                )
            journal.add(counted)
            wrong += len(counted.counterexamples)
            task.advance(len(block), wrong=f"{wrong:,}")
    certificate = _write(target, folder, journal, {**known, "inputs": walked.hexdigest()})
    journal.path.unlink()
    return certificate


def _made(folder: Path, known: dict[str, str]) -> Certificate | None:
    """The certificate that lies there, if it is of all that is ``known``."""
    try:
        found = paper.read(folder)
    except DataError:
        return None
    return found if {name: getattr(found.digests, name) for name in known} == known else None


def _digested(walk: Iterable[State], digest: Any) -> Iterator[State]:
    for state in walk:
        add_to(digest, state)
        yield state


def _found(target: Target, walk: Iterator[State]) -> Iterator[_Found]:
    """Every state with what the target answers, in order.

    A greedy GGUF is judged: whether it would write the right answer takes one decode. Only where it would not, and for
    any other target, the answer is generated.
    """
    hosts = Hosts([lambda: target.runtime])
    answerer = Answerer(hosts, Engine(hosts.generate, target.domain, asks=1))
    if not can_judge(target):
        waiting: deque[State] = deque()
        questions = (Question(_waits(state, waiting).input) for state in walk)
        for outcome in answerer.answer_all(questions):
            yield _Found(waiting.popleft(), None, outcome)
        return
    judged = judged_states(target, walk)
    while window := list(islice(judged, BLOCK)):
        wrong = [Question(state.input) for state, verdict in window if not verdict.right]
        outcomes = iter(list(answerer.answer_all(wrong)))
        for state, verdict in window:
            yield _Found(state, verdict, None if verdict.right else next(outcomes))


def answers(target: Target, sample: Iterable[State]) -> Iterator[tuple[State, bool]]:
    """Each of some states, and whether the target answers it right."""
    for found in _found(target, iter(sample)):
        yield found.state, _is_right(target.domain, found)


def _is_right(domain: AnyDomain, found: _Found) -> bool:
    if found.outcome is None:
        return True
    given = found.outcome.answer
    return given is not None and domain.compare(found.state.right, given)[WHOLE]


def can_judge(target: Target) -> bool:
    """Whether the target's answers can be judged without generating them."""
    runtime = target.runtime
    return isinstance(runtime, LlamaCpp) and runtime.settings["temperature"] == 0 and not runtime.thinks


def judged_states(target: Target, walk: Iterable[State]) -> Iterator[tuple[State, Verdict]]:
    """Every state with the verdict on its right answer, in order, of a target that can be judged."""
    assert isinstance(target.runtime, LlamaCpp) and target.gguf is not None  # noqa: S101  # see can_judge
    chat, waiting = target.runtime.chat, deque[State]()
    rows = ((chat.prompt(_waits(state, waiting).input), state.text) for state in walk)
    for verdict in judge(target.gguf, rows, length=target.runtime.context, end=chat.end):
        yield waiting.popleft(), verdict


def _waits(state: State, waiting: deque[State]) -> State:
    waiting.append(state)
    return state


def _counted(domain: AnyDomain, block: list[_Found]) -> Block:
    """The counts of a block. Raises RuntimeFailure where a state got no answer, or none of all was one."""
    if all(found.outcome is not None and found.outcome.answer is None for found in block):
        reason = block[0].outcome.reason if block[0].outcome else ""
        raise RuntimeFailure(
            f"none of {len(block):,} answers was one of the domain {domain.name}; the first: {reason}",
            hint="see what it says: drivecoach ask; a model of another domain cannot be verified for this one",
        )
    cells: dict[tuple[str, str], Counter[str]] = {}
    violations: Counter[str] = Counter()
    wrong: list[Counterexample] = []
    measured = []
    valid = 0
    for found in block:
        state, outcome = found.state, found.outcome
        if outcome is not None and outcome.status == "failed":
            raise RuntimeFailure(
                f"no answer for {state.input}: {outcome.reason}",
                hint="run the same command again: it goes on from here",
            )
        rule, item = rule_of(domain, state.value), domain.item(state.value)
        given = state.right if outcome is None else outcome.answer
        broken = [] if given is None else sorted({one.id for one in domain.violations(state.value, given)})
        is_right = _is_right(domain, found)
        below = given is not None and domain.is_below(given, state.right)
        lowered = below and domain.level(state.right) == domain.levels[-1]
        sure = outcome.log_probability if outcome else found.verdict.log_probability if found.verdict else None
        measured.append((nan if sure is None else sure, found.verdict.margin if found.verdict else nan))
        violations.update(broken)
        valid += given is not None and not broken
        counts = cells.setdefault((rule, item), Counter())
        counts.update(states=1, wrong=not is_right, lowered=lowered, violations=bool(broken))
        if not is_right:
            assert outcome is not None  # noqa: S101  # an answer that is right to the letter is right
            wrong.append(
                Counterexample(
                    input=state.input,
                    expected=domain.answer.dump(state.right),
                    given=None if given is None else domain.answer.dump(given),
                    said="" if given is not None else outcome.reason,
                    rule=rule,
                    item=item,
                    lowered=lowered,
                    below=below,
                    violations=broken,
                    log_probability=sure,
                )
            )
    return Block(
        states=len(block),
        valid=valid,
        violations=dict(violations),
        cells=[Cell(rule=rule, item=item, **counts) for (rule, item), counts in cells.items()],
        counterexamples=wrong,
        measured=pack(measured),
    )


def _write(target: Target, folder: Path, journal: Journal, digests: dict[str, str]) -> Certificate:
    """Add the blocks up; write counterexamples, measures and, last, the certificate."""
    domain = target.domain
    whole, violations = Counter[str](), Counter[str]()
    cells: dict[tuple[str, str], Counter[str]] = {}

    def counterexamples() -> Iterator[Counterexample]:
        for block in journal.blocks():
            whole.update(states=block.states, valid=block.valid)
            violations.update(block.violations)
            for cell in block.cells:
                counts = cell.model_dump(include=set(Counts.model_fields))
                cells.setdefault((cell.rule, cell.item), Counter()).update(counts)
            for one in block.counterexamples:
                whole.update(wrong=1, below=one.below, lowered=one.lowered)
                yield one

    digests["counterexamples"] = paper.write_counterexamples(counterexamples(), folder)
    with written_aside(folder / MEASURED) as part, part.open("wb") as stream:
        np.save(stream, np.concatenate([unpack(block.measured) for block in journal.blocks()]))
    certificate = Certificate(
        date=datetime.now(UTC).replace(microsecond=0),
        drivecoach=__version__,
        engine=f"xllamacpp {wheel_version()}" if target.gguf else f"{target.kind} ({platform.machine()})",
        target=target.gguf.name if target.gguf else target.name,
        domain=domain.name,
        digests=Digests(**digests),
        **{name: whole[name] for name in ("states", "wrong", "below", "lowered", "valid")},
        violations=dict(sorted(violations.items())),
        rules=_by(0, cells),
        items=_by(1, cells),
        cells=[Cell(rule=rule, item=item, **counts) for (rule, item), counts in sorted(cells.items())],
        clean=not whole["wrong"] and not violations,
    ).sealed()
    paper.write(certificate, folder)
    return certificate


def _by(part: int, cells: dict[tuple[str, str], Counter[str]]) -> dict[str, Counts]:
    """The cells added up by rule (0) or item (1)."""
    added: dict[str, Counter[str]] = {}
    for key, counts in cells.items():
        added.setdefault(key[part], Counter()).update(counts)
    return {name: Counts(**counts) for name, counts in sorted(added.items())}
