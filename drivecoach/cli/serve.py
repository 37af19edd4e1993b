"""`drivecoach serve`: the coach over HTTP, behind its guard; and at Ollama's address, on a machine without Ollama."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import urlsplit

import typer

from drivecoach.cli import process, show
from drivecoach.cli.ask import DEFAULT_MODEL, checked_guard, domain_of, model_path
from drivecoach.cli.options import DomainName

if TYPE_CHECKING:
    import socket

    from starlette.applications import Starlette

    from drivecoach.domain import AnyDomain
    from drivecoach.infer import Guard
    from drivecoach.serve.current import Current, Served


def serve(
    model: Annotated[
        str, typer.Argument(help="A GGUF file, a run folder, rules, or KIND:MODEL such as ollama:NAME.")
    ] = DEFAULT_MODEL,
    name: Annotated[str | None, typer.Option(help="The model's name for clients; by default the file's.")] = None,
    domain: DomainName = None,
    guard: Annotated[
        str | None,
        typer.Option(
            help="What /coach does with an answer that breaks an invariant: flag, replace by the teacher's, strict "
            "(also where its level is below the teacher's), off. By default the strictest that the domain can have."
        ),
    ] = None,
    bind: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 11434,
    allow_remote: Annotated[bool, typer.Option(help="Let other machines in (with --bind).")] = False,
    key: Annotated[
        str | None, typer.Option(envvar="DRIVECOACH_KEY", help="Bearer key that clients must send; better by variable.")
    ] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Web page origin that may ask (repeatable).")] = None,
) -> None:
    """Answer states at POST /coach, checked, and like Ollama on localhost:11434, from a GGUF that drivecoach exported.

    SIGHUP loads the file anew without dropping a request; SIGTERM finishes what is under way, and exits 0.
    """
    from drivecoach.serve.app import make_app
    from drivecoach.serve.current import Current, describe
    from drivecoach.serve.server import bind as listen
    from drivecoach.serve.server import is_loopback

    local = is_loopback(bind)
    if not local and not allow_remote:
        raise typer.BadParameter(f"{bind or 'every address'} lets other machines in; say --allow-remote if you mean it")
    for page in origin or ():
        _check_origin(page)
    listener = listen(bind, port)
    served = load(model, domain, guard, name)
    current = Current(served, partial(load, model, domain, guard, served.name if served.model else None))
    if not local:
        show.stderr.print(f"warning: everyone who reaches {bind} can ask this model", markup=False)
        if not key:
            show.stderr.print("warning: and no key is asked for; set DRIVECOACH_KEY", markup=False)
    app = make_app(current, key=key, origins=origin or (), any_host=not local)
    host, actual = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{actual}"
    show.stdout.print(f"{describe(served)} on {url} (Ctrl-C stops)", markup=False)
    show.stdout.print(f"POST {url}/coach checks what is said: guard {served.guard}", markup=False)
    if served.domain.speaks:
        show.stdout.print(f"{url}/live/NAME says when: states in, sentences out (docs/live.md)", markup=False)
    if served.domain.cockpit:
        show.stdout.print(f"{url}/cockpit is a car to sit in, with the coach beside you", markup=False)
    if served.model:
        show.stdout.print("/api and /v1 answer as Ollama does, and check nothing", markup=False)
    run_until_stopped(app, listener, current, logs=True)


def run_until_stopped(app: Starlette, listener: socket.socket, current: Current, *, logs: bool) -> None:
    """Serve until a signal comes, and say that what was under way is finished; ``logs``: a line a request."""
    from drivecoach.serve.server import run

    try:
        run(app, listener, current.reload, logs=logs)
    except (KeyboardInterrupt, SystemExit) as ending:  # raised anew once what was under way is finished
        if isinstance(ending, SystemExit) and ending.code != process.TERMINATED:
            raise
        show.stderr.print("stopped; what was under way is finished")


def load(model: str, domain: str | None, guard: str | None, name: str | None) -> Served:
    """What ``model`` names now, loaded and warm."""
    from drivecoach.infer import strictest
    from drivecoach.serve.current import open_served

    if guard is not None:
        checked_guard(guard)

    def choose(found: AnyDomain) -> Guard:
        if guard is not None:
            return cast("Guard", guard)
        best = strictest(found)
        if best != "strict":
            lacks = "levels" if found.has_teacher else "a teacher"
            show.note(f"guard {best}, for the domain {found.name} has no {lacks}")
        return best

    return open_served(
        model_path(model, domain),
        name,
        lambda runtime: domain_of(runtime.metadata, model, domain, constrain=False),
        choose,
    )


def _check_origin(page: str) -> None:
    """Refuse what no browser sends as its Origin, and what would therefore let nobody in."""
    try:
        parts = urlsplit(page)
        right = page == "*" or (parts.scheme and parts.netloc and page == f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        right = False
    if not right:
        raise typer.BadParameter(f"--origin {page!r} is no origin; it looks like https://app.example or http://box:8080")
