"""`drivecoach drive`: the cockpit on this machine, in its browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from functools import partial
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.ask import DEFAULT_MODEL
from drivecoach.cli.options import DomainName
from drivecoach.cli.serve import load, run_until_stopped
from drivecoach.errors import RecipeError


def drive(
    model: Annotated[
        str, typer.Argument(help="Who coaches: a GGUF file, a run folder, rules, or KIND:MODEL such as ollama:NAME.")
    ] = DEFAULT_MODEL,
    domain: DomainName = None,
    guard: Annotated[
        str | None, typer.Option(help="flag, replace, strict, off; by default the strictest the domain can have.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address, and open no browser.")] = False,
) -> None:
    """Drive a simulated car in the browser, with the coach beside you; other machines are not let in."""
    from drivecoach.serve.app import make_app
    from drivecoach.serve.current import Current, describe
    from drivecoach.serve.server import bind

    listener = bind("127.0.0.1", port)
    served = load(model, domain, guard, None)
    if served.domain.cockpit is None:
        served.close(finish=False)
        raise RecipeError(
            f"the domain {served.domain.name} has no simulator to drive in",
            hint=f"its coach answers over HTTP: drivecoach serve {model}",
        )
    current = Current(served, partial(load, model, domain, guard, served.name if served.model else None))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/cockpit"
    show.stdout.print(f"cockpit on {url}, coached by {describe(served)} (Ctrl-C stops)", markup=False)
    if not no_open and _has_screen():
        webbrowser.open(url)  # the socket listens already: what the browser asks before the loop runs waits there
    run_until_stopped(make_app(current), listener, current, logs=False)


def _has_screen() -> bool:
    """Whether a browser would be a window; one in the terminal would take the place of what is printed there."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
