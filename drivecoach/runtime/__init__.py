"""Model servers behind one protocol: a user's text in, the model's raw answer out."""

from drivecoach.runtime.base import Completion, Runtime, open_runtime

__all__ = ["Completion", "Runtime", "open_runtime"]
