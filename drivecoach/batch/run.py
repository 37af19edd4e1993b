"""One batch from a file or stream to another: source, journal, hosts, output, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import PATIENCE, Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.read import STANDARD, Source, Stream
from drivecoach.batch.write import open_output, open_stdout
from drivecoach.domain import AnyDomain
from drivecoach.errors import StorageError
from drivecoach.files import check_outputs, sha256
from drivecoach.infer import Engine, Guard
from drivecoach.runtime import RULES, TIMEOUT, address, open_runtime

_JOURNAL = ".journal"
Advance = Callable[[int, int], None]
"""Called after every row with the rows done and the valid ones among them."""


@dataclass(frozen=True)
class Settings:
    """How a batch is answered."""

    model: str
    """A GGUF file, KIND:MODEL such as ollama:NAME, or rules."""
    hosts: Sequence[str] = ()
    guard: Guard = "flag"
    timeout: float = TIMEOUT
    """Seconds that one answer of a server may take."""
    patience: float = PATIENCE
    constrain: bool = False
    """Decode under the answer's JSON Schema."""
    min_confidence: float | None = None
    """See `Engine`."""

    def connect(self) -> Hosts:
        """The servers that share the work, or the one model in this process; nothing is opened yet."""
        opens = [
            partial(open_runtime, self.model, host=host, timeout=self.timeout) for host in (self.hosts or (None,))
        ]
        return Hosts(opens, patience=self.patience)

    def engine(self, hosts: Hosts, domain: AnyDomain) -> Engine[Any, Any]:
        """What asks ``hosts`` and judges; raises RecipeError where the guard or the confidence cannot be had."""
        return Engine(
            hosts.generate, domain, self.guard, constrain=self.constrain, min_confidence=self.min_confidence
        )


class Summary(BaseModel):
    """What became of a batch."""

    model_config = ConfigDict(frozen=True)

    rows: int
    valid: int
    invalid: int
    failed: int
    from_rules: int = 0
    asked: int = 0
    asked_again: int = 0
    reused: int = 0
    in_journal_before: int = 0
    retries: int = 0
    in_flight_most: int = 0
    workers: int = 1
    seconds: float
    rows_per_second: float
    output: str


def run_batch(
    source: Source | Stream,
    output: Path | None,
    domain: AnyDomain,
    settings: Settings,
    hosts: Hosts,
    advance: Advance = lambda done, valid: None,
) -> Summary:
    """Answer every row of ``source`` into ``output``; run again after any interruption, it goes on from there.

    The journal ``<output>.journal`` stays beside the output (not for ``rules``, which are asked anew); delete it to ask
    everything anew. ``output`` None is standard output: each outcome is written when it and those before it are there,
    and there is no journal. ``hosts`` are closed. Raises DataError, ModelError, RuntimeFailure, StorageError.
    """
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    engine = settings.engine(hosts, domain)
    # Rules cost nothing to ask again, and may have been changed since.
    is_kept = output is not None and address(settings.model)[0] != RULES
    with ExitStack() as opened:
        opened.callback(hosts.close)
        journal = None
        if output is not None and is_kept:
            journal = opened.enter_context(Journal(journal_of(output), domain, belongs_to(settings, domain)))
        known = 0 if journal is None else journal.count()
        answerer = Answerer(hosts, engine, journal)
        write = opened.enter_context(open_stdout(domain) if output is None else open_output(output, domain))
        done = 0
        for batch in source.batches():
            for outcome in answerer.answer_all(batch):
                done += 1
                write(replace(outcome, row=done))
                counts[outcome.status] += 1
                counts["from rules"] += outcome.source == "rules"
                advance(done, counts["valid"])
    seconds = time.perf_counter() - start
    return Summary(
        rows=done,
        valid=counts["valid"],
        invalid=counts["invalid"],
        failed=counts["failed"],
        from_rules=counts["from rules"],
        asked=answerer.counts.asked,
        asked_again=engine.asked_again,
        reused=answerer.counts.reused,
        in_journal_before=known,
        retries=hosts.retries,
        in_flight_most=hosts.in_flight_most,
        seconds=round(seconds, 2),
        rows_per_second=round(done / seconds, 1),
        output=STANDARD if output is None else str(output),
    )


def journal_of(output: Path) -> Path:
    """Where the answers of a batch are kept."""
    return Path(f"{output}{_JOURNAL}")


def check_output(output: Path, inputs: Iterable[Path]) -> None:
    """Raise StorageError, before any work, for an output that would destroy an input, a journal or a device."""
    if output.suffix in (_JOURNAL, ".part"):
        raise StorageError(
            f"{output} is a name that is kept for what lies beside another output",
            hint="name a file that ends in .jsonl, .csv or .parquet",
        )
    if output.suffix.lower() in (".xlsx", ".tsv", ".json"):
        raise StorageError(
            f"{output}: outcomes are not written as {output.suffix}",
            hint="name a file that ends in .jsonl, .csv (which Excel opens) or .parquet",
        )
    check_outputs({"-o": output, "its journal": journal_of(output)}, inputs)


def belongs_to(settings: Settings, domain: AnyDomain) -> dict[str, JsonValue]:
    """What an answer depends on: the model (a file by its bytes), domain, guard, constraint."""
    path = Path(settings.model)
    model = f"sha256:{sha256(path)}" if path.is_file() else settings.model
    return {
        "model": model,
        "domain": {**domain.identity()},
        "guard": settings.guard,
        "constrain": settings.constrain,
        **({} if settings.min_confidence is None else {"min_confidence": settings.min_confidence}),
    }
