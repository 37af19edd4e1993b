"""Writing files so that a half-written one never looks whole: aside first, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drivecoach.errors import StorageError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write says when the disk is full, a quota or the largest size of a file is reached, or the disk is broken."""


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a ``.part`` path beside ``target``; rename it into place on success, delete it on any failure.

    Raises StorageError when the folder cannot be written or, in the body, when a disk is full or broken; what else
    goes wrong in the body (a connection, an input that is missing) passes through.
    """
    part = target.with_name(target.name + ".part")
    in_body = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()  # so that a place that cannot be written is found here, and not in the body
        in_body = True
        yield part
        in_body = False
        part.replace(target)
    except OSError as error:
        if in_body and error.errno not in _DISK:
            raise
        raise StorageError(
            f"could not write {target}: {error.strerror or error}",
            hint="free disk space or choose a folder you may write to, then run the same command again",
        ) from error
    finally:
        with suppress(OSError):  # where the path itself is impossible, there is nothing to delete
            part.unlink()


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with written_aside(target) as part:
        part.write_text(text, encoding="utf-8")


def write_json(target: Path, value: object) -> None:
    """Write ``value`` as readable UTF-8 JSON with a final newline, whole or not at all."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_folder(made: Path, target: Path) -> None:
    """Put the folder ``made`` in the place of ``target``, which is removed last; a kill leaves one of them whole."""
    old = _old(target)
    try:
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        made.rename(target)
    except OSError as error:
        restore_folder(target)
        raise StorageError(
            f"could not put {made} in the place of {target}: {error.strerror or error}",
            hint="see that both may be written, then run the same command again",
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(target: Path) -> None:
    """Undo a `replace_folder` that was killed before the new folder was in its place."""
    if not target.exists() and _old(target).is_dir():
        with suppress(OSError):
            _old(target).rename(target)


def _old(target: Path) -> Path:
    return target.with_name(f"{target.name}~old")
