"""Which split a pair belongs to: decided by its input alone, so rows added later never move the others."""

from __future__ import annotations

from typing import Literal

from drivecoach.domain.base import share_of

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_name(canonical_input: str, validation: float, test: float) -> Split:
    """The split of an input: its SHA-256, read as a number from 0 to 1, falls into test, validation or train."""
    place = share_of(canonical_input)
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"
