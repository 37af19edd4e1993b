"""The one folder that the studio works in: what lies where, and which names lead to a file inside it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from drivecoach.errors import InputError, StorageError
from drivecoach.listing import Entry, list_runs
from drivecoach.lock import locked

DATA, DOMAINS_FOLDER, RECIPES, RUNS = "data", "domains", "recipes", "runs"
"""The folders in it."""
OWN = ".studio"
"""What the studio keeps for itself: its lock, and the commands that it started with their output."""
DATA_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".xlsx", ".parquet")

_PART = re.compile(r"\w[\w .()+@,=-]{0,119}")
_ALLOWED = "letters, digits, spaces and . _ - + ( ) @ , = after a first letter or digit, 120 characters at most"
_LISTED = 500
"""Files of a kind that are listed at most."""
_DEEPEST = 3
"""Folders below the studio's in which files are looked for."""


class Workspace:
    """A folder: data files in ``data/``, recipes in ``recipes/``, domains in ``domains/``, runs in ``runs/``."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and those in it, where they are not there. Raises StorageError where that is not allowed."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.folder = folder.resolve()
            self.own = self.folder / OWN
            for name in (DATA, DOMAINS_FOLDER, RECIPES, RUNS, OWN):
                (self.folder / name).mkdir(exist_ok=True)
            (self.own / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"the studio cannot use {folder}: {error.strerror or error}",
                hint="name a folder you may write to: drivecoach studio FOLDER",
            ) from error
        self.runs_folder = self.folder / RUNS

    def path(self, name: str) -> Path:
        """The place of ``name`` (``data/pairs.jsonl``); raises InputError for a name that leads out of the folder.

        That is an absolute path, a step upwards, a link to the outside, a hidden file, or a name with characters that a
        shell or a terminal would take for something else.
        """
        for part in name.split("/"):
            fault = _fault_of(part)
            if fault:
                raise InputError(
                    f"{name[:120]!r} is no file of the studio: {fault}", hint=f"a name consists of {_ALLOWED}"
                )
        place = self.folder / name
        if not self.holds(place):
            raise InputError(
                f"{name!r} leads out of the studio's folder, to {os.path.realpath(place)}",
                hint=f"copy the file into {self.folder / DATA}, or start the studio on the folder that holds it",
            )
        return place

    def holds(self, path: str | Path) -> bool:
        """Whether a path, links followed, leads into the folder, and not to what the studio keeps for itself."""
        try:
            real = Path(os.path.realpath(self.folder / path))
        except ValueError:  # a null character
            return False
        return real.is_relative_to(self.folder) and not real.is_relative_to(self.own)

    def existing(self, name: str) -> Path:
        """The same, of a file that must be there."""
        place = self.path(name)
        if not place.is_file():
            raise InputError(f"there is no file {name} in {self.folder}", hint="choose one of the list, or drop it in")
        return place

    def name(self, path: Path) -> str:
        """How the page and the commands call a file of the folder: its path relative to it."""
        return path.relative_to(self.folder).as_posix()

    def free(self, name: str, taken: Collection[Path] = ()) -> str:
        """``name``, or the first of ``NAME-2``, ``NAME-3``, … that nothing has: what is there is never written over.

        ``taken``: places that will be written.
        """
        whole = Path(name)
        ending = "".join(whole.suffixes[-1:])
        stem = re.sub(r"-\d+$", "", whole.name.removesuffix(ending))
        number, chosen = 2, name
        while (place := self.path(chosen)).exists() or place in taken:
            chosen = (whole.parent / f"{stem}-{number}{ending}").as_posix()
            number += 1
        return chosen

    def files(self, *endings: str, under: str = "") -> list[str]:
        """The names of the files with these endings, in order; not those in runs, nor hidden ones."""
        top = self.path(under) if under else self.folder
        found = (self.name(path) for path in _walk(top, self.runs_folder, _DEEPEST) if path.suffix.lower() in endings)
        return sorted(name for name, _ in zip(filter(self._is_ours, found), range(_LISTED), strict=False))

    def runs(self) -> list[Entry]:
        """Every run, by name."""
        return list(list_runs(self.runs_folder))

    def run(self, name: str) -> Path:
        """The folder of a run by its name."""
        if "/" in name:
            raise InputError(f"{name[:120]!r} is no name of a run", hint="choose one of the list")
        return self.path(f"{RUNS}/{name}")

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder: a second studio on it is told who does."""
        return locked(self.own, hint="use the page of that studio, or another folder: drivecoach studio FOLDER")

    def _is_ours(self, name: str) -> bool:
        try:
            self.path(name)
        except InputError:
            return False
        return True


def _fault_of(part: str) -> str:
    """What is wrong with one part of a name; empty where nothing is."""
    if part == "..":
        return "it leads upwards"
    if part in ("", "."):
        return "it is no relative path" if not part else "it names a folder"
    if part.startswith("."):
        return "hidden files are left alone"
    if not _PART.fullmatch(part) or part != part.rstrip(" ."):
        return f"{part[:60]!r} has characters, an end or a length that names here must not have"
    return "" if len(part.encode()) <= 200 else "it is too long"


def _walk(folder: Path, without: Path, depth: int) -> Iterator[Path]:
    """The files below ``folder``, not in hidden folders or behind links."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink() or entry == without:
            continue
        if entry.is_dir():
            is_code = entry.name in ("node_modules", "__pycache__") or (entry / "__init__.py").exists()
            if depth and not is_code:
                yield from _walk(entry, without, depth - 1)
        elif entry.is_file():
            yield entry
