"""The command line: verbs, and the one place where errors become messages and exit codes."""

from drivecoach.cli.app import main

__all__ = ["main"]
