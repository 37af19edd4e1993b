"""What the data stage tells of itself; little is imported to read it."""

from __future__ import annotations

from pydantic import BaseModel

from drivecoach.data.split import Split


class DataResult(BaseModel, frozen=True, extra="forbid"):
    """The result of the data stage: how many rows were read, and what became of them."""

    rows: int
    refused: dict[str, int]
    """By kind of fault."""
    warnings: int
    train: int
    validation: int
    test: int
    digests: dict[Split, str]
    """Of each split, the SHA-256 of its pairs in their order; where they stood in their source is no part of it."""
