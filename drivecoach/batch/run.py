"""One batch from a file to a file: source, journal, hosts, output, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.batch.answerer import Answerer, Guard
from drivecoach.batch.hosts import PATIENCE, Hosts, Open
from drivecoach.batch.journal import Journal
from drivecoach.batch.read import Source
from drivecoach.batch.write import open_output
from drivecoach.files import sha256
from drivecoach.registry import RUNTIMES, Domain
from drivecoach.runtime import open_runtime
from drivecoach.runtime.ollama import TIMEOUT

Advance = Callable[[int, int], None]
"""Called after every row with the rows done and the valid ones among them."""


@dataclass(frozen=True)
class Settings:
    """How a batch is answered."""

    model: str
    """A GGUF file, or ollama:NAME."""
    hosts: Sequence[str] = ()
    guard: Guard = "flag"
    timeout: float = TIMEOUT
    """Seconds that one answer of a server may take."""
    patience: float = PATIENCE


def run_batch(
    source: Source, output: Path, domain: Domain, settings: Settings, advance: Advance = lambda done, valid: None
) -> dict[str, Any]:
    """Answer every row of ``source`` into ``output``; run again after any interruption, it goes on from there.

    The journal ``<output>.journal`` stays beside the output; delete it to ask everything anew.
    Returns the figures of the summary. Raises DataError, ModelError, RuntimeFailure, StorageError.
    """
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    journal_path = output.with_name(output.name + ".journal")
    with Journal(journal_path, belongs_to(settings, domain)) as journal:
        known = journal.count()
        hosts = Hosts(opens(settings), patience=settings.patience)
        answerer = Answerer(hosts, domain, journal, guard=settings.guard)
        try:
            with open_output(output, domain) as write:
                for outcome in answerer.answer_all(source.texts()):
                    write(outcome)
                    counts[outcome.status] += 1
                    counts["from rules"] += outcome.source == "rules"
                    advance(counts.total() - counts["from rules"], counts["valid"])
        finally:
            hosts.close()
    seconds = time.perf_counter() - start
    rows = counts["valid"] + counts["invalid"] + counts["failed"]
    return {
        "rows": rows,
        **{status: counts[status] for status in ("valid", "invalid", "failed")},
        "from rules": counts["from rules"],
        "asked": answerer.counts.asked,
        "asked again": answerer.counts.asked_again,
        "reused": answerer.counts.reused,
        "in the journal before": known,
        "retries": hosts.retries,
        "at once, at most": hosts.in_flight_most,
        "seconds": round(seconds, 2),
        "rows per second": round(rows / seconds, 1),
        "output": str(output),
    }


def belongs_to(settings: Settings, domain: Domain) -> dict[str, Any]:
    """What an answer depends on: the model (a file by its bytes), domain and guard. Raises ModelError for no model."""
    path = Path(settings.model)
    if settings.model.partition(":")[0] not in RUNTIMES and not path.is_file():
        open_runtime(settings.model).close()  # says what is wrong, before a journal is begun for nothing
    model = f"sha256:{sha256(path)}" if path.is_file() else settings.model
    return {"model": model, "domain": domain.name, "guard": settings.guard}


def opens(settings: Settings) -> list[Open]:
    """How to open the runtime of every host; nothing is opened yet."""
    kind, separator, name = settings.model.partition(":")
    if separator and kind in RUNTIMES and kind != "llamacpp":
        from drivecoach.runtime.ollama import Ollama

        return [
            lambda host=host: Ollama(name, host, timeout=settings.timeout)  # type: ignore[misc]
            for host in (settings.hosts or (None,))
        ]
    only = settings.hosts[0] if settings.hosts else None
    return [lambda: open_runtime(settings.model, host=only)]
