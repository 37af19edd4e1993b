"""What can be done with a run by one command: its line, and why it cannot be done now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.errors import RecipeError
from drivecoach.lock import holder
from drivecoach.report.words import Words
from drivecoach.studio.jobs import shown


@dataclass(frozen=True)
class Action:
    """One command of drivecoach."""

    id: str
    argv: tuple[str, ...]
    """What comes after ``drivecoach``."""
    disabled: Words | None = None
    """Why it cannot be done now; None where it can."""
    first: str = ""
    """The command after which it can."""

    @property
    def command(self) -> str:
        """The line to type."""
        return shown(self.argv)

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        why = self.disabled and self.disabled._asdict()
        return {"id": self.id, "command": self.command, "disabled": why, "first": self.first}


def in_use(run: Path) -> Words | None:
    """Why nothing can be done with a run that somebody writes into; None where nobody does."""
    writer = holder(run)
    return None if writer is None else Words(f"in use: {writer}", f"正在使用：{writer}")


def chosen(actions: Iterable[Action], id: object) -> Action:
    """The action of that id. Raises RecipeError for one that there is not, or that cannot be done now."""
    known: Mapping[str, Action] = {action.id: action for action in actions}
    if not isinstance(id, str) or id not in known:
        raise RecipeError(f"there is no action {id!r}", hint=f"choose one of: {', '.join(known)}")
    action = known[id]
    if action.disabled is not None:
        raise RecipeError(
            f"{action.command} cannot be done now: {action.disabled.en}",
            hint=f"first: {action.first}" if action.first else "look again when that has changed",
        )
    return action
