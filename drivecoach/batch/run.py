"""One batch from a file to a file: source, journal, hosts, output, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.hosts import PATIENCE, Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.read import Source
from drivecoach.batch.write import open_output
from drivecoach.domain import AnyDomain
from drivecoach.files import sha256
from drivecoach.infer import Engine, Guard
from drivecoach.runtime import RULES, TIMEOUT, address, open_runtime

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

    def connect(self) -> Hosts:
        """The servers that share the work, or the one model in this process; nothing is opened yet."""
        opens = [
            partial(open_runtime, self.model, host=host, timeout=self.timeout) for host in (self.hosts or (None,))
        ]
        return Hosts(opens, patience=self.patience)


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
    source: Source,
    output: Path,
    domain: AnyDomain,
    settings: Settings,
    hosts: Hosts,
    advance: Advance = lambda done, valid: None,
) -> Summary:
    """Answer every row of ``source`` into ``output``; run again after any interruption, it goes on from there.

    The journal ``<output>.journal`` stays beside the output (not for ``rules``, which are asked anew); delete it to ask
    everything anew. ``hosts`` are closed.
    Raises DataError, ModelError, RuntimeFailure, StorageError.
    """
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    # Rules cost nothing to ask again, and may have been changed since.
    is_kept = address(settings.model)[0] != RULES
    journal_path = output.with_name(output.name + ".journal") if is_kept else None
    try:
        with Journal(journal_path, domain, belongs_to(settings, domain)) as journal:
            known = journal.count()
            engine = Engine(hosts.generate, domain, settings.guard, constrain=settings.constrain)
            answerer = Answerer(hosts, engine, journal)
            with open_output(output, domain) as write:
                for done, outcome in enumerate(answerer.answer_all(source.texts()), start=1):
                    write(outcome)
                    counts[outcome.status] += 1
                    counts["from rules"] += outcome.source == "rules"
                    advance(done, counts["valid"])
    finally:
        hosts.close()
    seconds = time.perf_counter() - start
    rows = counts["valid"] + counts["invalid"] + counts["failed"]
    return Summary(
        rows=rows,
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
        rows_per_second=round(rows / seconds, 1),
        output=str(output),
    )


def belongs_to(settings: Settings, domain: AnyDomain) -> dict[str, JsonValue]:
    """What an answer depends on: the model (a file by its bytes), domain, guard, constraint."""
    path = Path(settings.model)
    model = f"sha256:{sha256(path)}" if path.is_file() else settings.model
    return {
        "model": model,
        "domain": {**domain.identity()},
        "guard": settings.guard,
        "constrain": settings.constrain,
    }
