"""Records out of a file or standard input, one a line, as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from errno import ENOENT
from pathlib import Path
from typing import BinaryIO

from drivecoach.domain import AnyDomain
from drivecoach.errors import DataError
from drivecoach.files import hint_for
from drivecoach.live.replay import Record, read_record
from drivecoach.text import shown

STANDARD = "-"
_LONGEST = 1 << 20
"""Bytes of a line that is still read; what is longer is told as broken, and passed over."""


def read_records(path: Path, domain: AnyDomain) -> Iterator[Record]:
    """The records of a file or, for ``-``, of standard input; what is no state is told when it is replayed.

    Raises DataError for a file that cannot be read.
    """
    try:
        opened = nullcontext(sys.stdin.buffer) if str(path) == STANDARD else path.open("rb")
        with opened as stream:
            for line in _lines(stream):
                if line.strip():
                    yield read_record(line, domain)
    except OSError as error:
        hint = "name a file of states, one a line; - is standard input" if error.errno == ENOENT else hint_for(error)
        raise DataError(f"cannot read {shown(str(path), 200)}: {error.strerror}", hint=hint) from error


def _lines(stream: BinaryIO) -> Iterator[str]:
    first = True
    while line := stream.readline(_LONGEST):
        whole = line.endswith(b"\n") or len(line) < _LONGEST
        while not whole and (rest := stream.readline(_LONGEST)):
            whole = rest.endswith(b"\n")
            line = line[:200]  # no state is that long: enough of it to say so
        yield line.decode("utf-8-sig" if first else "utf-8", "replace").strip()
        first = False
