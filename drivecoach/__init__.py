"""drivecoach: a small language model as a driving coach with structured output."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivecoach.coach import Coach

__version__ = "0.1.0"

__all__ = ["Coach", "__version__"]


def __getattr__(name: str) -> object:
    """``Coach`` on first use: importing the package alone stays quick."""
    if name == "Coach":
        from drivecoach.coach import Coach

        return Coach
    raise AttributeError(f"module 'drivecoach' has no attribute {name!r}")
