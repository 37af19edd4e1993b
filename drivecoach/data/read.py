"""Reading data files: JSON lists and JSONL of input/output pairs, row by row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.errors import DataError

FORMS = 'a JSON list, or JSONL with one object a line: {"input": "…", "output": "…"}'


@dataclass(frozen=True)
class Row:
    """One record as it stands in the file, or the raw text of one that could not be read."""

    number: int
    """1-based: the position in a JSON list, or the line of a JSONL file."""
    value: Any
    problem: str | None = None
    """Why the record could not be read."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield every record of a ``.json`` list or a JSONL file.

    A line that is not JSON becomes a Row with a ``problem``; a file that is no data file at all (missing, empty,
    not UTF-8, a JSON object instead of a list) is a DataError.
    """
    text = _read(path)
    if text.lstrip()[:1] == "[":
        yield from _json_list(path, text)
    else:
        yield from _json_lines(path, text)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"no data file at {path}", hint="check the path, or make one: drivecoach data generate"
        ) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder", hint="name the file in it: " + FORMS) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start})", hint=f"convert it: iconv -f GB18030 -t UTF-8 {path}"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the file's permissions") from None
    if not text.strip():
        raise DataError(f"{path} is empty", hint="a data file is " + FORMS)
    return text


def _json_list(path: Path, text: str) -> Iterator[Row]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            hint="mend that place; a data file is " + FORMS,
        ) from None
    if not values:
        raise DataError(f"{path} is an empty list", hint="a data file is " + FORMS)
    for number, value in enumerate(values, start=1):
        yield Row(number, value)


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not _is_json_lines(lines):
        raise DataError(f"{path} holds one JSON object, not a list of pairs", hint="a data file is " + FORMS)
    for number, line in lines:
        try:
            yield Row(number, json.loads(line))
        except json.JSONDecodeError as error:
            yield Row(number, line, f"not valid JSON: {error.msg} at column {error.colno}")


def _is_json_lines(lines: list[tuple[int, str]]) -> bool:
    """False for one JSON object, pretty-printed or holding something other than a pair."""
    try:
        whole = json.loads("\n".join(line for _, line in lines))
    except json.JSONDecodeError:
        return True
    return isinstance(whole, dict) and {"input", "output"} <= whole.keys()
