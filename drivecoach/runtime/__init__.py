"""Model servers behind one protocol: a user's text in, the model's raw answer out."""

from drivecoach.runtime.base import Again, Busy, Completion, Down, Runtime, open_runtime

__all__ = ["Again", "Busy", "Completion", "Down", "Runtime", "open_runtime"]
