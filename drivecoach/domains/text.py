"""The simplest domain: free text in, free text out, with no schema, no invariants and no teacher."""

from __future__ import annotations

from drivecoach.domain import Domain

TEXT = Domain("text", str, str)
"""No system message of its own: a recipe's ``chat.system``, or a row's system message, says what the model is."""
