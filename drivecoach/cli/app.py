"""The `drivecoach` command: its verbs, and how every failure ends (a message, a hint, an exit code).

Exit codes: 0 done, 1 a fault (bad input, refused rows, a stage that failed), 2 wrong usage, 3 a verification that was
done and found wrong answers, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Annotated, Never

import typer

from drivecoach import __version__
from drivecoach.cli import process, show
from drivecoach.errors import DrivecoachError, first_line
from drivecoach.files import OF_A_PATH, hint_for
from drivecoach.text import printable, shown

VERBS = {
    "data": "data:app",
    "init": "init:init",
    "refresh": "refresh:refresh",
    "doctor": "before:doctor",
    "plan": "before:plan",
    "tune": "runs:tune",
    "train": "runs:train",
    "export": "runs:export",
    "evaluate": "evaluate:evaluate",
    "verify": "verify:verify",
    "refine": "refine:refine",
    "report": "report:report",
    "compare": "report:compare",
    "runs": "listing:runs",
    "deploy": "deploy:deploy",
    "ask": "ask:ask",
    "infer": "ask:infer",
    "explain": "rules:explain",
    "rules": "rules:rules",
    "live": "live:live",
    "drive": "drive:drive",
    "serve": "serve:serve",
    "studio": "studio:studio",
}
"""A verb to its module in this package and its function there, or its Typer app where it has verbs of its own."""


def make_app(verbs: Iterable[str] = VERBS) -> typer.Typer:
    """The command line with these verbs; the modules of the others are not imported, so that one answer comes soon."""
    app = typer.Typer(name="drivecoach", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(about)
    for verb in verbs:
        module, _, name = VERBS[verb].partition(":")
        found = getattr(import_module(f"drivecoach.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb)
        else:
            app.command(verb)(found)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        show.line(f"drivecoach {__version__}")
        raise typer.Exit


def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Tune a small language model into a driving coach that answers in validated, structured output."""


def chosen() -> typer.Typer:
    """The command line that ``sys.argv`` asks for: with its verb alone, or with all where it names none."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    return make_app([verb] if verb in VERBS else VERBS)


def main(app: Callable[[], object]) -> None:
    """Run the command line; never shows a traceback for bad input, an interruption or a full disk."""
    try:
        app()
    except DrivecoachError as error:
        _fail(printable(str(error)), printable(error.hint), *getattr(error, "__notes__", ()))
    except SystemExit as ending:
        if ending.code in process.SAID:  # typer ends with 130 after Ctrl-C, without a word
            show.stderr.print(f"\n{process.SAID[ending.code]}")
        raise
    except KeyboardInterrupt:  # before typer's own handling, or after it
        show.stderr.print(f"\n{process.SAID[process.INTERRUPTED]}")
        sys.exit(process.INTERRUPTED)
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "drivecoach":
            raise
        _fail(f"this needs the Python package {error.name}, which is not installed", "pip install 'drivecoach[train]'")
    except MemoryError:
        _fail("there is not enough memory for this", "end other programs, or give it less: fewer or shorter rows")
    except Exception as error:
        if _disk_is_full(error):
            hint = "free some space and run the same command again; finished stages are kept"
            _fail(f"the disk is full ({first_line(error)})", hint)
        if isinstance(error, OSError) and error.filename is not None and error.errno in OF_A_PATH:
            _fail(f"{shown(str(error.filename), 200)}: {error.strerror}", hint_for(error))
        raise


def _fail(message: str, hint: str, *notes: str) -> Never:
    """Say what is wrong and what helps, and end with exit code 1."""
    from rich.markup import escape

    show.stderr.print(f"[bold red]error:[/] {escape(message)}\n[bold]hint:[/] {escape(hint)}")
    for note in notes:
        show.stderr.print(note, markup=False)
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
