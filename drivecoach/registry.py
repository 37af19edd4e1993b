"""What can be chosen by name: shipped with drivecoach, or brought by an installed package as an entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from drivecoach.errors import RecipeError, first_line

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to objects of one kind, imported only when they are asked for; a shipped name is never replaced."""

    def __init__(self, kind: str, shipped: Mapping[str, str], fits: Callable[[object], bool]) -> None:
        self.kind = kind
        """What messages call one, in the singular; ``drivecoach.<kind>s`` is the group of entry points."""
        self.group = f"drivecoach.{kind}s"
        self._shipped = shipped
        self._fits = fits

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._shipped, *self._installed()})

    def __contains__(self, name: str) -> bool:
        return name in self._shipped or name in self._installed()

    def load(self, name: str) -> T:
        """The object called ``name``.

        Raises RecipeError that lists the known names, or says why an installed package's object cannot be used.
        """
        if name in self._shipped:
            module, _, attribute = self._shipped[name].partition(":")
            found: object = import_module(module)
            return cast(T, getattr(found, attribute) if attribute else found)
        entry = self._installed().get(name)
        if entry is None:
            raise RecipeError(f"there is no {self.kind} {name!r}", hint="choose one of: " + ", ".join(self.names()))
        package = entry.dist.name if entry.dist else "an installed package"
        try:
            found = entry.load()
        except Exception as error:  # whatever a foreign module raises while it is imported
            raise RecipeError(
                f"the {self.kind} {name!r} of {package} does not import: {first_line(error)}",
                hint=f"update or uninstall {package}",
            ) from error
        if not self._fits(found):
            raise RecipeError(
                f"{entry.value} of {package} is no {self.kind}", hint=f"see {self.group} in CONTRIBUTING.md"
            )
        return cast(T, found)

    def _installed(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group) if entry.name not in self._shipped}
