"""The command line: verbs, and the one place where errors become messages and exit codes."""

from drivecoach.cli import process

__all__ = ["main"]


def main() -> None:
    """Run the command that ``sys.argv`` holds; the signals are handled before the verbs are imported."""
    process.open_streams()
    with process.ended_at_once():
        from drivecoach.cli.app import main as run

        with process.ended_in_order():
            run()
