"""The journal of a verification that is under way: a line for every finished block, after a line of what it is of."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, JsonValue, ValidationError

from drivecoach.errors import Fault, StorageError
from drivecoach.files import cannot_write
from drivecoach.verify.certificate import Cell, Counterexample

JOURNAL = "verify.journal"


class Block(BaseModel):
    """What came of one block of states, which lie one after the other in the domain's order."""

    states: int
    valid: int
    violations: dict[str, int]
    """Id of an invariant to the number of answers that break it."""
    cells: list[Cell]
    counterexamples: list[Counterexample]
    measured: str
    """`pack` of a row for each state, see `run.MEASURED`."""


def pack(rows: list[tuple[float, float, int]]) -> str:
    """Numbers as text, in 32 bits."""
    return base64.b64encode(np.asarray(rows, "<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray[Any, Any]:
    """The numbers again, in three columns."""
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(-1, 3)


class Journal:
    """The blocks that are done, in ``path``; what a kill left of a last line is cut off.

    ``belongs``: digests that must be the same for the blocks to count. Raises StorageError where they are not.
    """

    def __init__(self, path: Path, belongs: dict[str, JsonValue]) -> None:
        self.path = path
        try:
            self._open(belongs)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _open(self, belongs: dict[str, JsonValue]) -> None:
        whole = self.path.read_bytes() if self.path.is_file() else b""
        lines = whole[: whole.rfind(b"\n") + 1].splitlines()
        if lines:
            self._check(lines[0], belongs)
        else:
            lines = [json.dumps(belongs, sort_keys=True).encode()]
            self.path.write_bytes(lines[0] + b"\n")
        kept = sum(len(line) + 1 for line in lines)
        with self.path.open("r+b") as stream:
            stream.truncate(kept)
        self.done = len(lines) - 1
        """How many blocks are done."""

    def _check(self, line: bytes, belongs: dict[str, JsonValue]) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StorageError(f"{self.path} is no journal of a verification", hint=f"begin anew: rm {self.path}")
        faults = [
            Fault(name, str(found.get(name))[:16], f"{str(value)[:16]}, what is to be verified now")
            for name, value in belongs.items()
            if found.get(name) != value
        ]
        if faults:
            raise StorageError(
                f"{self.path} is a verification of something else that was not finished",
                faults=faults,
                hint=f"choose another folder: -o FOLDER; or give that one up: rm {self.path}",
            )

    def add(self, block: Block) -> None:
        """Write a finished block down; it is kept when this returns."""
        try:
            with self.path.open("ab") as stream:
                stream.write(block.model_dump_json().encode() + b"\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.done += 1

    def blocks(self) -> Iterator[Block]:
        """Every block that is done, in order, one in memory at a time."""
        with self.path.open(encoding="utf-8") as stream:
            next(stream)
            for number, line in enumerate(stream, start=1):
                try:
                    yield Block.model_validate_json(line)
                except ValidationError as error:
                    raise StorageError(
                        f"{self.path}: block {number} is damaged", hint=f"begin anew: rm {self.path}"
                    ) from error
