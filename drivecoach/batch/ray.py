"""Past one machine: the same per-batch function under Ray Data, from partitioned Parquet to partitioned Parquet."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from drivecoach.batch.answerer import Answerer
from drivecoach.batch.journal import Journal
from drivecoach.batch.run import Settings, Summary
from drivecoach.batch.write import arrow_schema, record
from drivecoach.domains.stored import find_domain
from drivecoach.errors import DataError, first_line

BATCH = 1024
"""Rows a worker gets at once."""


class BatchAnswerer:
    """What runs in a Ray worker: it opens the model once, then answers batch after batch.

    ``domain``: as `drivecoach.domains.load.load_domain` reads it; None takes the model's own.
    """

    def __init__(self, settings: Settings, domain: str | None) -> None:
        hosts = settings.connect()
        self._domain = find_domain(hosts.metadata, settings.model, domain).domain
        engine = settings.engine(hosts, self._domain)
        self._answerer = Answerer(hosts, engine, Journal(None, self._domain, {}))
        self._schema = arrow_schema(self._domain)

    def __call__(self, batch: Any) -> Any:
        """A table with a column ``input``, or one column a feature, to a table of outcomes."""
        import pyarrow as pa

        rows = _rows(batch)
        texts = [row["input"] if "input" in row else self._domain.record_text(row) for row in rows]
        outcomes = self._answerer.answer_all(texts)
        return pa.Table.from_pylist([record(outcome, self._domain) for outcome in outcomes], self._schema)


def _rows(batch: Any) -> list[dict[str, Any]]:
    """The rows of a table; a date or time that Python has not becomes a text, and its row a failed one."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except (ValueError, OverflowError):
        return [{name: _cell(batch.column(name)[row]) for name in batch.column_names} for row in range(batch.num_rows)]


def _cell(cell: Any) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError) as error:
        return f"unreadable: {first_line(error)}"


def run_on_ray(
    source: Path, output: Path, domain: str | None, settings: Settings, *, workers: int | None = None
) -> Summary:
    """Answer a Parquet file or a folder of them into a folder of them, on the Ray cluster that is there.

    Without one (RAY_ADDRESS) Ray starts on this machine. ``workers``: models at work at once, by default as many
    as there are CPUs in the cluster. The column ``row`` counts within a batch; carry your own key in ``input`` order.
    Raises DataError where Ray is not installed or the output exists.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy
    except ImportError:
        raise DataError("--engine ray needs Ray", hint="pip install 'drivecoach[ray]'") from None
    if not source.exists():
        raise DataError(f"no file or folder at {source}", hint="check the path")
    if source.resolve() in (output.resolve(), *output.resolve().parents):
        raise DataError(f"{output} is the input or lies in it", hint="name a folder of its own")
    if output.exists() and any(output.iterdir() if output.is_dir() else [output]):
        raise DataError(f"{output} is not empty", hint="name another folder, or remove it")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    start = time.perf_counter()
    here = {} if "RAY_ADDRESS" in os.environ else {"_node_ip_address": "127.0.0.1"}
    ray.init(ignore_reinit_error=True, log_to_driver=False, **here)
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    outcomes = (
        ray.data.read_parquet(str(source))
        .map_batches(
            BatchAnswerer,
            fn_constructor_args=(settings, domain),
            batch_format="pyarrow",
            batch_size=BATCH,
            num_cpus=0.5,  # the workers must never hold all CPUs: reading the files needs one
            compute=ActorPoolStrategy(size=workers),
        )
        .materialize()
    )
    outcomes.write_parquet(str(output))
    counts = {row["status"]: row["count()"] for row in outcomes.groupby("status").count().take_all()}
    seconds = time.perf_counter() - start
    rows = sum(counts.values())
    return Summary(
        rows=rows,
        valid=counts.get("valid", 0),
        invalid=counts.get("invalid", 0),
        failed=counts.get("failed", 0),
        workers=workers,
        seconds=round(seconds, 2),
        rows_per_second=round(rows / seconds, 1),
        output=str(output),
    )
