"""The simplest domain: free text in, free text out, with no schema, no invariants and no teacher."""

from __future__ import annotations

from drivecoach.domain import Domain

TEXT = Domain("text", str, str)
"""It has no system message of its own: a recipe's ``chat.system``, or a row's, says what the model is."""
