"""Answering every input that a domain has, block by block, and counting what comes."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from drivecoach import __version__
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError, ModelError, RuntimeFailure
from drivecoach.evaluate.target import Target
from drivecoach.files import written_aside
from drivecoach.native.library import wheel_version
from drivecoach.progress import Task, progress
from drivecoach.verify import certificate as paper
from drivecoach.verify import coverage
from drivecoach.verify.answers import Answered, answers
from drivecoach.verify.certificate import Cell, Certificate, Counterexample, Counts, Digests
from drivecoach.verify.journal import JOURNAL, Block, Journal, pack, unpack
from drivecoach.verify.states import (
    State,
    add_to,
    check_countable,
    domain_digest,
    item_of,
    rule_of,
    rules_digest,
    states,
    template_digest,
)

BLOCK = 8192
"""States that are finished together: what an interruption loses at most."""
MEASURED = "measured.npy"
"""A row for every state, in the domain's order: how likely its answer was (a logarithm), the margin of the right one,
and 0 for a right answer, 1 for a wrong one, 2 for a lowered danger."""


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
        with closing(answers(target, every)) as answered:  # interrupted, it ends what is under way
            while block := list(islice(_told(answered, task), BLOCK)):
                counted = _counted(domain, block)
                if target.digest() != model:
                    raise ModelError(
                        f"{target.name} has changed while it was verified",
                        hint=f"the blocks that were done are kept; of what it is now, begin anew: rm {journal.path}",
                    )
                journal.add(counted)
                wrong += len(counted.counterexamples)
                task.update(task.done, wrong=f"{wrong:,}")
    certificate = _write(target, folder, journal, {**known, "inputs": walked.hexdigest()})
    journal.path.unlink()
    return certificate


def _made(folder: Path, known: dict[str, str]) -> Certificate | None:
    """The certificate that lies there, if it is of all that is ``known`` and nothing beside it was removed."""
    if not all((folder / name).is_file() for name in (paper.COUNTEREXAMPLES, MEASURED)):
        return None
    try:
        found = paper.read(folder)
    except DataError:
        return None
    return found if {name: getattr(found.digests, name) for name in known} == known else None


def _told(answered: Iterable[Answered], task: Task) -> Iterator[Answered]:
    for one in answered:
        task.advance()
        yield one


def _digested(walk: Iterable[State], digest: Any) -> Iterator[State]:
    for state in walk:
        add_to(digest, state)
        yield state


def _counted(domain: AnyDomain, block: list[Answered]) -> Block:
    """The counts of a block. Raises RuntimeFailure where none of its answers was one."""
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
        state, given = found.state, found.given
        rule, item = rule_of(domain, state.value), item_of(domain, state.value)
        broken = [] if given is None else sorted({one.id for one in domain.violations(state.value, given)})
        measured.append(found.measured)
        violations.update(broken)
        valid += given is not None and not broken
        counts = cells.setdefault((rule, item), Counter())
        counts.update(states=1, wrong=not found.is_right, lowered=found.is_lowered, violations=bool(broken))
        if not found.is_right:
            assert found.outcome is not None  # noqa: S101  # an answer that is right to the letter is right
            wrong.append(
                Counterexample(
                    input=state.input,
                    expected=domain.answer.dump(state.right),
                    given=None if given is None else domain.answer.dump(given),
                    said="" if given is not None else found.outcome.reason,
                    rule=rule,
                    item=item,
                    lowered=found.is_lowered,
                    below=given is not None and domain.is_below(given, state.right),
                    violations=broken,
                    log_probability=found.log_probability,
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
    measured = np.concatenate([unpack(block.measured) for block in journal.blocks()])
    with written_aside(folder / MEASURED) as part, part.open("wb") as stream:
        np.save(stream, measured)
    if not np.isnan(measured[:, 0]).any():
        every = [(sure, kind > 0, kind > 1) for sure, kind in measured[:, [0, 2]].tolist()]
        coverage.write(coverage.measure(target, every), folder)
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
