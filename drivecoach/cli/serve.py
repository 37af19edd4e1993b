"""`drivecoach serve`: the coach at Ollama's address, on a machine without Ollama."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.ask import DEFAULT_MODEL, DomainName, domain_of, model_path


def serve(
    model: Annotated[Path, typer.Argument(help="A GGUF file, or a run folder.")] = Path(DEFAULT_MODEL),
    name: Annotated[str, typer.Option(help="The model's name for clients.")] = "goDrive",
    domain: DomainName = None,
    bind: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 11434,
    allow_remote: Annotated[bool, typer.Option(help="Let other machines in (with --bind).")] = False,
    key: Annotated[
        str | None, typer.Option(envvar="DRIVECOACH_KEY", help="Bearer key that clients must send; better by variable.")
    ] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Web page origin that may ask (repeatable).")] = None,
) -> None:
    """Answer like Ollama on localhost:11434, from a GGUF file that `drivecoach export` made."""
    from drivecoach.serve.app import make_app
    from drivecoach.serve.model import ServedModel
    from drivecoach.serve.server import bind as listen
    from drivecoach.serve.server import is_loopback, run

    local = is_loopback(bind)
    if not local and not allow_remote:
        raise typer.BadParameter(f"{bind} lets other machines in; say --allow-remote if you mean it")
    listener = listen(bind, port)
    served = ServedModel(Path(model_path(str(model))), name)
    knowledge = domain_of(served.runtime.metadata, str(model), domain, constrain=False)
    if not local:
        show.stderr.print(f"warning: everyone who reaches {bind} can ask this model", markup=False)
        if not key:
            show.stderr.print("warning: and no key is asked for; set DRIVECOACH_KEY", markup=False)
    app = make_app(served, key=key, origins=origin or (), any_host=not local)
    host, actual = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    show.stdout.print(f"{served.name} ({knowledge.name}) on http://{shown}:{actual} (Ctrl-C stops)", markup=False)
    run(app, listener)

