"""`drivecoach studio`: the page that tunes without code, for one user on this machine."""

from __future__ import annotations

import os
import secrets
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import process, show

HERE = Path()


def studio(
    folder: Annotated[Path, typer.Argument(help="The folder to work in: data, recipes and runs lie in it.")] = HERE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the address, open no browser.")] = False,
) -> None:
    """Open a page that tunes without code: data, plan, training, proof, questions, shipping; for any domain.

    It listens on 127.0.0.1 only, and answers only to the token in the address that it prints. What it starts goes on
    when the page, or the studio itself, is closed.
    """
    import uvicorn

    from drivecoach.serve.server import bind, configure
    from drivecoach.studio.app import make_app
    from drivecoach.studio.jobs import Jobs
    from drivecoach.studio.workspace import Workspace

    workspace = Workspace(folder)
    with workspace.lock():
        listener = bind("127.0.0.1", port)
        actual = listener.getsockname()[1]
        jobs, token = Jobs(workspace), secrets.token_urlsafe(24)
        config = configure(make_app(workspace, jobs, token, actual))
        config.timeout_graceful_shutdown = 3
        address = f"http://127.0.0.1:{actual}/?token={token}"
        show.stdout.print(f"studio on {workspace.folder} (Ctrl-C stops)", markup=False)
        show.stdout.print(address, markup=False, soft_wrap=True)
        if not no_open and _has_screen():
            webbrowser.open(address)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except (KeyboardInterrupt, SystemExit) as ending:  # raised anew once the server has ended
            if isinstance(ending, SystemExit) and ending.code != process.TERMINATED:
                raise
        running = len([job for job in jobs.jobs() if job.state == "running"])
        still = f"; {running} of its commands still run, and go on" if running else ""
        show.stderr.print(f"stopped{still}", markup=False)


def _has_screen() -> bool:
    """Whether a browser would have a window: elsewhere one for terminals could take this very terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
