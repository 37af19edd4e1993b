"""`drivecoach live`: a stream of states in, what to say and what to keep silent out; drives scored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivecoach.cli import show
from drivecoach.cli.ask import DEFAULT_MODEL, Model, checked_guard, domain_of, model_path
from drivecoach.cli.options import AsJson, DomainName, Host
from drivecoach.text import printable

if TYPE_CHECKING:
    from drivecoach.domain import AnyDomain
    from drivecoach.infer import Outcome
    from drivecoach.live import Event, Settings

AS_FAST = "max"


def live(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE|-]",
            help='Lines {"time": seconds, "state": …}, or states alone, ten a second; - is standard input.',
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    host: Host = None,
    guard: Annotated[
        str | None, typer.Option(help="flag, replace, strict, off; by default the strictest the domain can have.")
    ] = None,
    domain: DomainName = None,
    speed: Annotated[
        str | None,
        typer.Option(help="How many times as fast as it was (1 for a file), or max; standard input: as it comes."),
    ] = None,
    voice: Annotated[str | None, typer.Option(help="essential, normal or chatty.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the timing, e.g. rest=10 (repeatable).")
    ] = None,
    score: Annotated[bool, typer.Option("--score", help="Score the files against the domain's teacher.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what to say and when, one line a decision, with the reason for every silence.

    At --speed max an answer counts as there at once; else it comes as late as it took.
    --score exits 1 where a danger is missed.
    """
    from drivecoach.infer import Engine, Question, check_guard, strictest
    from drivecoach.live.source import STANDARD
    from drivecoach.runtime import open_runtime

    given = sources or [Path(STANDARD)]
    if len(given) > 1 and not score:
        raise typer.BadParameter("one file, or -; several are scored: --score")
    factor = _factor(speed, is_file=str(given[0]) != STANDARD)
    settings = _settings(voice, sets or [])
    if guard is not None:
        checked_guard(guard)
    with open_runtime(model_path(model, domain), host=host) as runtime:
        knowledge = domain_of(runtime.metadata, model, domain, constrain=False)
        chosen = checked_guard(guard) if guard else strictest(knowledge)
        check_guard(chosen, knowledge)
        engine = Engine(runtime.generate, knowledge, chosen)

        def ask(text: str, value: Any) -> Outcome[Any]:
            return engine.settle(value, Question(text))

        if score:
            _score(given, knowledge, ask, settings, as_json=as_json)
        else:
            _replay(given[0], knowledge, ask, settings, factor, as_json=as_json)


def _replay(
    source: Path,
    domain: AnyDomain,
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings,
    factor: float | None,
    *,
    as_json: bool,
) -> None:
    from drivecoach.live import replay
    from drivecoach.live.source import read_records

    began: tuple[float, float] | None = None

    def until(now: float) -> None:
        nonlocal began
        if factor is None:
            return
        began = began or (now, time.monotonic())
        time.sleep(max(0.0, began[1] + (now - began[0]) / factor - time.monotonic()))

    records = read_records(source, domain)
    for event in replay(domain, records, ask, settings, until=until, delayed=factor is not None):
        line = json.dumps(event.to_json(), ensure_ascii=False) if as_json else _line(event)
        print(printable(line), file=show.stdout.file, flush=True)


def _line(event: Event) -> str:
    said = f"{event.level} {event.speech}".strip()
    if event.kind == "say":
        return f"{event.time:9.1f}  SAY     {said}{'  (interrupts)' if event.interrupts else ''}"
    about = f"{event.reason}{f': {event.detail}' if event.detail and event.kind == 'trouble' else ''}"
    about += f" ({event.skipped} passed over)" if event.skipped else ""
    return f"{event.time:9.1f}  {event.kind:6}  {said}{'  ' if said else ''}[{about}]"


def _score(
    files: list[Path],
    domain: AnyDomain,
    ask: Callable[[str, Any], Outcome[Any]],
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    from drivecoach.live.score import score_files, table

    scores = score_files(files, domain, ask, settings)
    if as_json:
        show.as_json([row.model_dump() for row in scores])
    else:
        print("\n".join(table(scores)), file=show.stdout.file)
    if any(row.missed for row in scores):
        raise typer.Exit(1)


def _factor(speed: str | None, *, is_file: bool) -> float | None:
    """How many times as fast as the file; None for as fast as it goes."""
    if speed is None:
        return 1.0 if is_file else None
    if speed == AS_FAST:
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise typer.BadParameter(f"--speed is a number above 0, or {AS_FAST}")
    return factor


def _settings(voice: str | None, sets: list[str]) -> Settings:
    from drivecoach.live import read_settings

    values: dict[str, Any] = {"voice": voice} if voice else {}
    for one in sets:
        name, equals, value = one.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {one!r}")
        values[name] = value
    return read_settings(values)
