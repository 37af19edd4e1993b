"""Writing files so that a half-written one never looks whole, and never over a file that is something else.

Aside first, then renamed; before any work, every path that will be written is held against what is read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from drivecoach.errors import Fault, StorageError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write says when the disk is full, a quota or the largest size of a file is reached, or the disk is broken."""
_NO_RIGHT = "choose a folder you may write to, then run the same command again"
_NO_FOLDER = "a file stands where a folder is wanted: choose another path, or move that file away"
_HINTS = {
    errno.ENOSPC: "free disk space, then run the same command again",
    errno.EDQUOT: "free disk space (your quota is used up), then run the same command again",
    errno.EFBIG: "free disk space or raise the largest size of a file (ulimit -f), then run the same command again",
    errno.EIO: "the disk or its connection is broken: see the system's log, or choose another disk",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.EISDIR: "that is a folder: name a file in it",
    errno.ELOOP: "its links lead in a circle: choose another path",
    errno.ENOENT: "something removed it meanwhile: see that no other process writes the same file",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), then run the same command again",
}

OF_A_PATH = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP
)  # fmt: skip
"""What is wrong with a path that a person named, whatever was to be done with it."""


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Yield a ``.part`` path beside ``target``; rename it into place on success, delete it on any failure.

    A link is followed: the file that it names is replaced. Raises StorageError for a target that is no regular file,
    when the folder cannot be written or, in the body, when a disk is full or broken; what else goes wrong in the body
    (a connection, an input that is missing) passes through.
    """
    check_outputs({"": target})
    real = Path(os.path.realpath(target))
    part = _aside(real)
    in_body = False
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # what a killed run left, or a link to something else
        part.touch(exist_ok=False)  # so that a place that cannot be written is found here, and not in the body
        in_body = True
        yield part
        in_body = False
        part.replace(real)
    except OSError as error:
        if in_body and error.errno not in _DISK:
            raise
        raise cannot_write(target, error) from error
    finally:
        with suppress(OSError):  # where the path itself is impossible, there is nothing to delete
            part.unlink()


def check_outputs(outputs: Mapping[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Raise StorageError, before any work, unless every file to be written is a regular file of its own.

    ``outputs``: each by the name that the person knows it by (``-o``), files beside them (a journal, rejects) too.
    None may be one of the ``inputs``, another output, what either is written aside as, a folder, or a device.
    """
    taken: dict[object, str] = {}
    for path in inputs:
        taken |= dict.fromkeys(_identities(path), f"is the input {path} itself")
    faults: list[Fault] = []
    for name, path in outputs.items():
        where, part = f"{name} {path}".strip(), _aside(path)
        for written, said in ((path, ""), (part, f"is written aside as {part.name}, which ")):
            try:
                kind = "a device" if _is_special(written) else not_regular(written)
            except OSError as error:
                raise cannot_write(path, error) from error
            except ValueError:  # a null character
                raise StorageError(f"could not write {str(path)!r}: it is no path", hint="name another file") from None
            clash = next((taken[same] for same in _identities(written) if same in taken), "")
            if kind or clash:
                allowed = "a regular file" if kind else "a file of its own"
                faults.append(Fault(where, said + (f"is {kind}" if kind else clash), allowed))
                break
        taken |= dict.fromkeys([*_identities(path), *_identities(part)], f"is a file that {name} writes")
    if faults:
        raise StorageError("could not write; nothing was changed", faults=faults, hint="name another file")


def not_regular(path: Path) -> str:
    """What stands at ``path`` that is no regular file (``a folder``, ``a device``, ``a pipe``); empty where none does.

    Raises OSError for a path that is impossible, such as one that is too long.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # opening it will say so
        return ""
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def _is_special(path: Path) -> bool:
    """Whether a path names no place on a disk, such as /dev/stdout, which may lead to a regular file."""
    parts = path.absolute().parts
    return parts[1:2] in (("dev",), ("proc",)) and parts[1:3] != ("dev", "shm")


def cannot_write(path: Path, error: OSError) -> StorageError:
    """What to say when ``path`` could not be written, with what helps against that very failure."""
    return StorageError(f"could not write {path}: {error.strerror or error}", hint=hint_for(error))


def hint_for(error: OSError) -> str:
    """What a person can do about a failure of the file system."""
    return _HINTS.get(error.errno or 0, "choose another path, then run the same command again")


def _aside(target: Path) -> Path:
    """Where a file is written before it gets its name."""
    return target.with_name(target.name + ".part") if target.name else target


def _identities(path: Path) -> list[object]:
    """What two paths of one file have in common: where they lead to, and the file's number on its disk."""
    found: list[object] = [os.path.realpath(path)]
    with suppress(OSError):
        status = path.stat()
        found.append((status.st_dev, status.st_ino))
    return found


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with written_aside(target) as part:
        part.write_text(text, encoding="utf-8")


def write_json(target: Path, value: object) -> None:
    """Write ``value`` as readable UTF-8 JSON with a final newline, whole or not at all."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_lines(target: Path, lines: Iterable[str]) -> None:
    """Write ``lines`` as UTF-8, each ended by a line feed, whole or not at all."""
    with written_aside(target) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def free_disk(folder: Path) -> int:
    """Bytes free where ``folder`` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


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
