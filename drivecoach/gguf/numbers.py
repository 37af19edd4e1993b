"""How the types of stored numbers look to NumPy; 16-bit brain floats, which it does not know, are widened here."""

from __future__ import annotations

import numpy as np

NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""The name in safetensors and GGUF -> NumPy's; BF16 as the 16 bits it is stored in."""


def floats(values: np.ndarray, kind: str) -> np.ndarray:
    """``values`` as they were stored with the type ``kind``, as floats of NumPy's; BF16 becomes float32, exactly."""
    # A BF16 number is the upper half of a float32.
    return (values.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else values
