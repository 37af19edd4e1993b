"""The command line: verbs, and the one place where errors become messages and exit codes."""

import gc
import sys

from drivecoach.cli import process

__all__ = ["main"]

_GARBAGE = 100_000
"""New objects after which Python looks for cycles; one answer makes fewer, and looking took a tenth of its time."""


def main() -> None:
    """Run the command that ``sys.argv`` holds; the signals are handled before the verbs are imported."""
    gc.set_threshold(_GARBAGE)
    process.open_streams()
    with process.ended_at_once():
        from drivecoach.cli.app import chosen
        from drivecoach.cli.app import main as run

        app = chosen()
        try:
            with process.ended_in_order():
                run(app)
        finally:
            # What is left ends with the process: looking through it once more took a tenth of a second. Where PyTorch
            # is in, it is looked through all the same: libraries that it brings tell of what was not freed.
            if "torch" not in sys.modules:
                gc.freeze()
