"""Where rows come from: a file, a data set on the Hugging Face hub or on ModelScope; always a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from drivecoach.config import SourceConfig
from drivecoach.data.columns import Columns
from drivecoach.data.formats import TABLE, check_columns, detect
from drivecoach.data.read import read_rows
from drivecoach.data.record import Row, check_file
from drivecoach.errors import DataError, first_line
from drivecoach.files import sha256


def open_source(source: SourceConfig, table: Columns | None = None) -> Iterator[Row]:
    """Yield the records of ``source``; ``table``: they may have one column a field of this domain.

    Raises DataError when it cannot be read or has none of the columns named.
    """

    def fitting(columns: Collection[str]) -> None:
        named = {*columns, *source.columns}
        if table and (source.format == TABLE or (source.format == "auto" and not table.is_plain)):
            if source.format == TABLE or (detect(named) is None and table.nearly_fit(named)):
                table.check(named, source.path)
            if table.fit(named):
                return
        check_columns(columns, source.format, source.columns, source.path)

    if source.source == "local":
        check_file(Path(source.path))
        yield from read_rows(Path(source.path), fitting)
        return
    data = _from_hub(source) if source.source == "hub" else _from_modelscope(source)
    fitting(data.column_names)
    for number, value in enumerate(data, start=1):
        yield Row(number, value)


def identity(source: SourceConfig) -> dict[str, JsonValue]:
    """What tells one state of a source from another: settings, and for a file the hash of its bytes."""
    named = source.model_dump(mode="json", include=set(SourceConfig.model_fields))
    if source.source != "local":
        return named
    path = Path(source.path)
    check_file(path)
    return {**named, "path": "", "sha256": sha256(path)}


def _from_hub(source: SourceConfig) -> Any:
    try:
        from datasets import load_dataset
    except ImportError:
        raise DataError("data.source: hub needs datasets", hint="pip install 'drivecoach[train]'") from None
    try:
        return load_dataset(source.path, name=source.subset, split=source.split, revision=source.revision)
    except Exception as error:  # the hub client has no common base of its errors
        raise _unreachable(source, error) from error


def _from_modelscope(source: SourceConfig) -> Any:
    try:
        from modelscope.msdatasets import MsDataset
    except ImportError:
        raise DataError("data.source: modelscope needs modelscope", hint="pip install modelscope") from None
    try:
        found = MsDataset.load(
            source.path, subset_name=source.subset or "default", split=source.split, version=source.revision or "master"
        )
        return found.to_hf_dataset() if hasattr(found, "to_hf_dataset") else found
    except Exception as error:  # neither has ModelScope's
        raise _unreachable(source, error) from error


def _unreachable(source: SourceConfig, error: Exception) -> DataError:
    return DataError(
        f"cannot load the data set {source.path} (split {source.split}): {first_line(error)}",
        hint="check data.path, data.split and the network (HF_ENDPOINT names a mirror), set data.source: modelscope, "
        "or download it and give the file",
    )
