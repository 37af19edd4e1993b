"""The `drivecoach` command: its verbs, and how every failure ends (a message, a hint, an exit code).

Exit codes: 0 done, 1 a fault (bad input, refused rows, a stage that failed), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys

import typer
from rich.markup import escape

from drivecoach.cli import ask, before, data, deploy, init, refresh, runs, serve
from drivecoach.cli.show import stderr
from drivecoach.errors import DrivecoachError, first_line

_INTERRUPTED = 130

app = typer.Typer(
    name="drivecoach",
    help="Tune a small language model into a driving coach that answers in validated, structured output.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
app.command()(init.init)
app.command()(refresh.refresh)
app.command()(before.doctor)
app.command()(before.plan)
app.command()(runs.tune)
app.command()(runs.train)
app.command()(runs.export)
app.command()(runs.evaluate)
app.command()(deploy.deploy)
app.command()(ask.ask)
app.command()(ask.infer)
app.command()(serve.serve)


def main() -> None:
    """Run the command line; never shows a traceback for bad input, an interruption or a full disk."""
    try:
        app()
    except DrivecoachError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}\n[bold]hint:[/] {escape(error.hint)}")
        for note in getattr(error, "__notes__", ()):
            stderr.print(note, markup=False)
        sys.exit(1)
    except SystemExit as ending:
        if ending.code == _INTERRUPTED:  # typer ends so after Ctrl-C, without a word
            stderr.print("\ninterrupted; what was finished is kept, the same command goes on from there")
        raise
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "drivecoach":
            raise
        stderr.print(f"[bold red]error:[/] this needs the Python package {escape(error.name)}, which is not installed")
        stderr.print("[bold]hint:[/] pip install 'drivecoach\\[train]'")
        sys.exit(1)
    except Exception as error:
        if not _disk_is_full(error):
            raise
        stderr.print(f"[bold red]error:[/] the disk is full ({escape(first_line(error))})")
        stderr.print("[bold]hint:[/] free some space and run the same command again; finished stages are kept")
        sys.exit(1)


def _disk_is_full(error: Exception) -> bool:
    """Whether a write failed for want of space; torch and safetensors say it in words, not in errno."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(cause) for text in ("No space left", "file write failed", "StorageFull")):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
