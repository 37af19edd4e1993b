"""The one error tree: every error says what is wrong, where, and the command or change that fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input: where it stands, what was found, what would have been right."""

    where: str
    """Key, row or path, e.g. ``gear`` or ``row 17``."""
    found: str
    """The offending value as it was read."""
    allowed: str = ""
    """What is allowed there, in words or as a list of values; empty where ``found`` says all."""

    def __str__(self) -> str:
        return f"{self.where}: {self.found}" + (f" (allowed: {self.allowed})" if self.allowed else "")


class DrivecoachError(Exception):
    """Base of all errors that drivecoach raises on purpose.

    ``hint`` says how to fix it; ``faults`` lists every fault found, never only the first.
    """

    def __init__(self, message: str, *, hint: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  - {fault}" for fault in self.faults)])


class InputError(DrivecoachError):
    """A feature line, state or instruction that is not well formed or not possible."""


class DataError(DrivecoachError):
    """A data file that is missing, unreadable, malformed or in conflict with itself."""


class RecipeError(DrivecoachError):
    """A recipe that is missing, broken, or asks for something that does not exist."""


class ModelError(DrivecoachError):
    """A base model, adapter, checkpoint or GGUF that is missing, damaged or does not fit."""


class TrainError(DrivecoachError):
    """Training could not go on (diverged, out of memory, interrupted)."""


class RuntimeFailure(DrivecoachError):
    """A model server that cannot be reached, refuses, or answers outside its protocol."""


class AnswerError(DrivecoachError):
    """A model's answer that is no instruction, or a state that has none."""


class StorageError(DrivecoachError):
    """Files could not be written: disk full, folder not writable, output in use."""


def first_line(error: BaseException) -> str:
    """What a foreign error says, on one line; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
