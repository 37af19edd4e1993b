"""A run's folder: its one writer, and the folder aside in which its replacement is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from drivecoach.config import RECIPE, Recipe
from drivecoach.errors import RecipeError
from drivecoach.export.result import LEDGER
from drivecoach.files import replace_folder, restore_folder, write_json
from drivecoach.lock import locked
from drivecoach.provenance import Training
from drivecoach.quiet import LOG
from drivecoach.train import processes


class RunFolder:
    """Where a run is made: ``path``, which is its place or, with ``replace`` and something to lose there, aside.

    No recipe can have the name of the folder aside (``nano~new``), which takes the place only when it is complete.
    """

    def __init__(self, place: Path, *, replace: bool = False) -> None:
        restore_folder(place)
        self.path = self.place = place
        self.aside = place.with_name(f"{place.name}~new")
        self._replace = replace
        self._locks: ExitStack | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for writing: another process that wants to is told who does. Held already, it stays so."""
        if self._locks is not None or not processes.is_first():
            yield
            return
        with ExitStack() as self._locks:
            self._locks.enter_context(locked(self.path))
            try:
                yield
            finally:
                self._locks = None

    def save_recipe(self, recipe: Recipe) -> None:
        """Keep the resolved recipe, so that later stages need no more than the folder."""
        write_json(self.path / RECIPE, recipe.model_dump(mode="json"))

    def make_room(self, training: Training, changes: Sequence[str], say: Callable[[str], None]) -> None:
        """Go on aside, where ``training`` is to be replaced by one with ``changes``; else raise the `refusal`."""
        if not self._replace or self.path != self.place:
            raise self.refusal(training, changes)
        self.path = self.aside
        say(f"replace: {self.place} holds {training}; it stays until the new one in {self.path} is complete")
        if self._locks is not None:
            self._locks.enter_context(locked(self.path))

    def refusal(self, training: Training, changes: Sequence[str]) -> RecipeError:
        """The error that says what would be lost, what differs, and what to choose from."""
        other = free_name(self.place.parent, self.place.name)
        hint = f"keep both: --set name={other}; or train in its place: --replace"
        if self.path == self.aside:
            hint = f"finish it with the command it was begun with, or give it up: rm -r {self.path}"
        what = f"{self.path} holds {training} with other settings, which would be lost:"
        return RecipeError("\n  - ".join([what, *changes]), hint=hint)

    def take_place(self, say: Callable[[str], None]) -> None:
        """Put what was made aside in the place of what it replaces, which is removed only now."""
        if self.path == self.place:
            return
        if (self.place / LEDGER).is_file():  # which servers have a model of this name stays known
            shutil.copyfile(self.place / LEDGER, self.path / LEDGER)
        if (self.place / LOG).is_file():  # which this command began in the old folder
            (self.place / LOG).replace(self.path / LOG)
        replace_folder(self.path, self.place)
        self.path = self.place
        say(f"replace: {self.path} is the new run; the old one is removed")


def free_name(runs: Path, name: str) -> str:
    """``nano-2`` for ``nano``, or the first number after it that no run has."""
    number = 2
    while (runs / f"{name}-{number}").exists():
        number += 1
    return f"{name}-{number}"
