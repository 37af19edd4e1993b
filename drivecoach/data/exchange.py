"""Pairs out to a table that people edit, and back in once nothing in it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

from drivecoach.config import SourceConfig
from drivecoach.data.check import Pair, Refusal, example_of, scan
from drivecoach.data.columns import Columns
from drivecoach.data.read import read_rows
from drivecoach.data.record import check_file, text_encoding
from drivecoach.data.sources import open_source
from drivecoach.data.tables import TABLES, header_of
from drivecoach.data.write import SHEETS, Note, write_json, write_marked, write_table
from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError, Fault, StorageError
from drivecoach.files import check_outputs

_SHOWN = 20


@dataclass
class Exchanged:
    """What became of the rows."""

    rows: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    target: Path = Path()
    """The file that is written where nothing is refused."""
    marked: Path | None = None
    """The table with what is wrong beside each row, where something is."""


def export_table(source: Path, target: Path | None, domain: AnyDomain, *, replace: bool = False) -> Exchanged:
    """Write the pairs of ``source`` as a table with one column a field; see `Columns`.

    ``target`` None is the name of the pairs with ``.xlsx``.
    Rows that are in conflict, repeated, or break an invariant are in it, with a column that says so. Raises DataError,
    and writes nothing, where rows are no pair of one input and one output.
    """
    if target is None and source.suffix.lower() in SHEETS and not source.exists():
        raise DataError(
            f"no pairs are named that {source} is to hold",
            hint=f"e.g. drivecoach data export datasets/driving.json {source}",
        )
    check_file(source)
    target = target or source.with_suffix(".xlsx")
    _check_target(target, SHEETS, source, replace, f"drivecoach data export {source} pairs.xlsx")
    done, table, notes, unfit = Exchanged(target=target), Columns(domain), dict[int, Note](), list[Refusal]()
    settings = _settings(source, table)
    for verdict in scan([settings], domain):
        done.rows += 1
        line = done.rows + 1
        if isinstance(verdict, Refusal) and verdict.kind in ("duplicate", "conflict"):
            done.refusals.append(verdict)
            notes[line] = Note("fault", f"{verdict.kind}: {verdict.reason} of {source.name}")
        elif isinstance(verdict, Refusal):
            unfit.append(verdict)
        elif verdict.pair.history:
            unfit.append(Refusal(verdict.pair.row, "malformed", "turns before the input, which a table has not", ""))
        elif verdict.warning:
            done.warnings.append(verdict.warning)
            notes[line] = Note("warning", verdict.warning.reason)
    if unfit:
        raise DataError(
            f"{len(unfit)} of {done.rows} rows of {source} cannot stand in a table",
            faults=[Fault(f"row {row.row}", f"{row.kind}: {row.reason}") for row in unfit[:_SHOWN]],
            hint=f"see all of them: drivecoach data check {source}; --accepted FILE writes the others as pairs",
        )
    examples = (example_of(row.value, settings, table) for row in open_source(settings, table))
    write_table(target, table, ((example.input, example.output) for example in examples), notes)
    return done


def import_table(source: Path, target: Path | None, domain: AnyDomain, *, replace: bool = False) -> Exchanged:
    """Write the pairs of a table as JSONL (or a JSON list, by the target's ending), if no row is refused.

    ``target`` None is the table's name with ``.jsonl``.
    Where rows are, nothing is imported: a copy of the table gets a column with the reason of each.
    """
    check_file(source)
    if source.suffix.lower() not in TABLES:
        raise DataError(f"{source} is no table", hint=f"import reads {', '.join(TABLES)}; pairs in JSON need no import")
    marked, stem = _free_name(source)
    target = target or source.with_name(f"{stem}.jsonl")
    check_outputs({"TARGET": target, "the copy with the faults": marked}, [source])
    _check_target(target, (".jsonl", ".json"), source, replace, f"drivecoach data import {source} pairs.jsonl")
    done = Exchanged(target=target)
    try:
        write_json(target, _accepted(source, domain, done))
    except _Refused:
        table = Columns(domain)
        notes = {row.row: Note("warning", row.reason) for row in done.warnings}
        notes |= {row.row: Note("fault", f"{row.kind}: {row.reason}", row.fields) for row in done.refusals}
        write_marked(marked, table, header_of(source), read_rows(source), notes)
        done.marked = marked
    return done


def notes_on(source: Path, domain: AnyDomain) -> list[str]:
    """What one should know about how a table was read: its encoding, and columns that are no part of a pair."""
    if source.suffix.lower() not in TABLES:
        return []
    said, table, header = [], Columns(domain), header_of(source)
    if source.suffix.lower() in (".csv", ".tsv") and (encoding := text_encoding(source)) != "utf-8-sig":
        said.append(f"{source} was read as {encoding.upper()}, since it is not UTF-8")
    if table.fit(header) and (unknown := table.unknown(header)):
        said.append(f"columns that are no part of a pair were left out: {', '.join(unknown)}")
    return said


def _free_name(source: Path) -> tuple[Path, str]:
    """Where the copy with the faults goes, over no other one (somebody may be correcting it), and its name's stem."""
    stem = re.sub(r"\.faults(-\d+)?$", "", source.stem)
    ending = source.suffix if source.suffix.lower() in SHEETS else ".xlsx"
    names = (source.with_name(f"{stem}.faults{number}{ending}") for number in chain([""], (f"-{n}" for n in count(2))))
    return next(path for path in names if not path.exists()), stem


def _settings(source: Path, table: Columns) -> SourceConfig:
    """How a file is read: two columns of free text, which could be from anywhere, as cells that export wrote."""
    cells = table.is_plain and source.suffix.lower() in SHEETS and table.fit(header_of(source))
    return SourceConfig(path=str(source), format="table" if cells else "auto")


class _Refused(Exception):
    """A row was refused: what was written up to there is thrown away."""


def _accepted(source: Path, domain: AnyDomain, done: Exchanged) -> Iterator[dict[str, str]]:
    for verdict in scan([_settings(source, Columns(domain))], domain):
        done.rows += 1
        if isinstance(verdict, Refusal):
            done.refusals.append(verdict)
            continue
        if verdict.warning:
            done.warnings.append(verdict.warning)
        yield _row(verdict.pair)
    if done.refusals:
        raise _Refused


def _row(pair: Pair) -> dict[str, str]:
    system = {turn["role"]: turn["content"] for turn in pair.history}  # a table has no other turns
    return {**system, "input": pair.input, "output": pair.output}


def _check_target(target: Path, endings: tuple[str, ...], source: Path, replace: bool, example: str) -> None:
    """Raise unless the target may be written: of a kind that is, no input, and nothing that would be lost."""
    if target.suffix.lower() not in endings:
        raise DataError(f"{target} does not end in {', '.join(endings)}", hint=f"e.g. {example}")
    check_outputs({"TARGET": target}, [source])
    refuse_existing(target, replace)


def refuse_existing(target: Path, replace: bool) -> None:
    """Raise StorageError rather than write over somebody's edits."""
    if target.exists() and not replace:
        raise StorageError(f"{target} is already there", hint="name another file, or replace it: --replace")
