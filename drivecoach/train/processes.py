"""Several processes on one run (`accelerate launch`): the first one prepares and writes, the others follow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def several() -> bool:
    """Whether this is one of several processes; torch is not imported to find out."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process writes what all share."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Run the body in the first process, then in the others; alone, just run it."""
    if not several():
        yield
        return
    import torch
    from accelerate import PartialState

    with PartialState(cpu=not torch.accelerator.is_available()).main_process_first():
        yield
