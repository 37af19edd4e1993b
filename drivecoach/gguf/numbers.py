"""How the types of stored numbers look to NumPy; 16-bit brain floats, which it does not know, are widened here."""

from __future__ import annotations

from functools import cache

import numpy as np

NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""The name in safetensors and GGUF -> NumPy's; BF16 as the 16 bits it is stored in."""


def floats(values: np.ndarray, kind: str) -> np.ndarray:
    """``values`` as they were stored with the type ``kind``, as floats of NumPy's; BF16 becomes float32, exactly."""
    # A BF16 number is the upper half of a float32.
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else values


def halves(values: np.ndarray, kind: str) -> np.ndarray:
    """``values`` as 16-bit floats; those that are too large become infinite."""
    return np.take(_halves(), values) if kind == "BF16" else values.astype("<f2")


@cache
def _halves() -> np.ndarray:
    """Every BF16 number as a 16-bit float: there are so few that looking up is faster than computing."""
    with np.errstate(over="ignore", invalid="ignore"):
        return floats(np.arange(1 << 16, dtype="<u2"), "BF16").astype("<f2")


def are_finite(values: np.ndarray) -> bool:
    """Whether none of these floats is infinite or no number; NumPy's own way is slow for those of 16 bits."""
    if values.dtype == np.float16:
        return bool((values.view("<u2") & 0x7FFF).max(initial=0) < 0x7C00)
    return bool(np.isfinite(values).all())
