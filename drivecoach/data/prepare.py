"""Checking and splitting the rows of a recipe, as a stream from its sources to three files."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from drivecoach.config import DataConfig
from drivecoach.data.check import Pair, Refusal, json_line, scan
from drivecoach.data.result import DataResult
from drivecoach.data.split import SPLITS, Split, split_name
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError, Fault, first_line
from drivecoach.files import written_aside
from drivecoach.text import fraction

REJECTS = "rejects.jsonl"
_SHOWN = 10
_SALT = "share"
"""Which rows are used is decided by another number than their split."""


def prepare(data: DataConfig, domain: AnyDomain, control: re.Pattern[str], folder: Path) -> DataResult:
    """Write ``train.jsonl``, ``validation.jsonl``, ``test.jsonl`` into ``folder``, refused rows to ``rejects.jsonl``.

    Raises DataError when rows are refused and ``data.refused`` is ``stop``, or when nothing is left to train on.
    """
    refused: Counter[str] = Counter()
    shown: list[Refusal] = []
    warnings = rows = 0
    places: dict[str, array[float]] = {name: array("d") for name in [source.label for source in data.mix] or [""]}
    rejects = folder / REJECTS
    rejects.unlink(missing_ok=True)
    spool = folder / "accepted.jsonl.part"
    try:
        with (
            written_aside(rejects) as part,
            part.open("w", encoding="utf-8") as bad,
            spool.open("w", encoding="utf-8") as good,
        ):
            for verdict in scan(data.sources, domain, control):
                rows += 1
                if isinstance(verdict, Refusal):
                    refused[verdict.kind] += 1
                    bad.write(json_line(verdict.to_json()))
                    if len(shown) < _SHOWN:
                        shown.append(verdict)
                    continue
                warnings += verdict.warning is not None
                places[verdict.pair.source].append(fraction(_SALT, verdict.pair.key))
                good.write(json_line(verdict.pair.to_json()))
        if not refused:
            rejects.unlink()
        elif data.refused == "stop":
            raise _refused(data, refused, rows, shown, rejects)
        used, digests = _split(spool, data, _limits(data, places), folder)
    finally:
        spool.unlink(missing_ok=True)
    if not used["train"]:
        raise DataError(
            f"{', '.join(source.path for source in data.sources)}: no rows are left to train on ({rows} read, "
            f"{refused.total()} refused)",
            hint="add rows, correct the refused ones, raise data.fraction, or lower the held-out shares",
        )
    return DataResult(rows=rows, refused=dict(refused), warnings=warnings, **used, digests=digests)


def extend(prepared: Path, result: DataResult, added: Iterable[Pair], folder: Path) -> DataResult:
    """Write the splits of the folder ``prepared`` into ``folder``, with more pairs to train on.

    What was held out stays so; ``result`` is that of ``prepared``. Raises DataError where that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
    digests = {name: hashlib.sha256() for name in SPLITS}
    for name in SPLITS:
        with written_aside(folder / f"{name}.jsonl") as part, part.open("w", encoding="utf-8") as stream:
            for pair in chain(read_pairs(prepared / f"{name}.jsonl"), added if name == "train" else ()):
                _write(pair, stream, digests[name])
                counts[name] += 1
    more = counts["train"] - result.train
    ended = {name: digest.hexdigest() for name, digest in digests.items()}
    return result.model_copy(update={"rows": result.rows + more, **counts, "digests": ended})


def _write(pair: Pair, stream: TextIO, digest: Any) -> None:
    stream.write(json_line(pair.to_json()))
    digest.update(json_line(replace(pair, row=0, source="").to_json()).encode())


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of one split, as `prepare` wrote them. Raises DataError where the file is missing or damaged since."""
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                pair = Pair(**json.loads(line))
                if not (isinstance(pair.input, str) and isinstance(pair.output, str)):
                    raise ValueError("input and output are texts")
                yield pair
    except (OSError, ValueError, TypeError, RecursionError) as error:
        where = f"row {number} of {path} is damaged" if number else f"cannot read {path}"
        raise DataError(f"{where}: {first_line(error)}", hint="write the data anew: drivecoach tune RECIPE") from None


def _limits(data: DataConfig, places: dict[str, array[float]]) -> dict[str, float]:
    """Source -> the place in [0, 1) below which its rows are used, so that shares and fraction come out.

    With shares, all rows of the scarcest source are used, and of the others as many as keep the shares.
    """
    if not data.mix:
        return {"": _quantile(places[""], round(data.fraction * len(places[""])))}
    wanted = {source.label: source.share or 0.0 for source in data.mix}
    total = data.fraction * min(len(places[name]) / share for name, share in wanted.items())
    return {name: _quantile(places[name], round(share * total)) for name, share in wanted.items()}


def _quantile(values: array[float], count: int) -> float:
    import numpy as np  # here, so that `drivecoach --help` need not wait for it

    return 2.0 if count >= len(values) else float(np.partition(np.frombuffer(values), count)[count])


def _split(
    spool: Path, data: DataConfig, limits: dict[str, float], folder: Path
) -> tuple[dict[Split, int], dict[Split, str]]:
    counts = dict.fromkeys(SPLITS, 0)
    digests = {name: hashlib.sha256() for name in SPLITS}
    with ExitStack() as stack:
        parts = {name: stack.enter_context(written_aside(folder / f"{name}.jsonl")) for name in SPLITS}
        files = {name: stack.enter_context(part.open("w", encoding="utf-8")) for name, part in parts.items()}
        for pair in read_pairs(spool):
            if fraction(_SALT, pair.key) < limits[pair.source]:
                name = split_name(pair.key, data.validation, data.test)
                _write(pair, files[name], digests[name])
                counts[name] += 1
    return counts, {name: digest.hexdigest() for name, digest in digests.items()}


def _refused(data: DataConfig, refused: Counter[str], rows: int, shown: list[Refusal], rejects: Path) -> DataError:
    where = ", ".join(source.path for source in data.sources)
    kinds = ", ".join(f"{kind} {count}" for kind, count in refused.most_common())
    return DataError(
        f"{refused.total()} of {rows} rows of {where} are refused ({kinds})",
        faults=[Fault(f"{r.source} row {r.row}".strip(), f"{r.kind}: {r.reason}") for r in shown],
        hint=f"all of them are in {rejects}; correct them, or train without them: --set data.refused=drop",
    )
