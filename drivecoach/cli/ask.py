"""`drivecoach ask` and `drivecoach infer`: one validated answer, or a file of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from drivecoach import quiet
from drivecoach.cli import show
from drivecoach.cli.listing import note_stale
from drivecoach.cli.options import AsJson, DomainName, Host
from drivecoach.errors import ModelError, RecipeError
from drivecoach.progress import progress
from drivecoach.text import printable

if TYPE_CHECKING:
    from drivecoach.batch.hosts import Hosts
    from drivecoach.batch.run import Settings, Summary
    from drivecoach.domain import AnyDomain
    from drivecoach.infer import Guard

Model = Annotated[str, typer.Option("--model", help="A GGUF file, a run folder, ollama:NAME, or rules: no model.")]
Constrain = Annotated[bool, typer.Option("--constrain", help="Decode under the answer's JSON Schema.")]
Guarded = Annotated[
    str,
    typer.Option(
        "--guard", help="A broken invariant: flag, replace by the rules' answer, strict (a low level too), off."
    ),
]

DEFAULT_MODEL = "runs/nano/export/goDrive-q4_K_M.gguf"
ENGINES = ("local", "ray")


def ask(
    line: Annotated[str, typer.Argument(help="An input: key:value; key:value …, a JSON object, or free text.")],
    model: Model = DEFAULT_MODEL,
    host: Host = None,
    guard: Guarded = "flag",
    domain: DomainName = None,
    constrain: Constrain = False,
    as_json: AsJson = False,
) -> None:
    """Answer one input; exit 1 when the answer is not valid."""
    from drivecoach.infer import Engine
    from drivecoach.runtime import open_runtime

    guarded = checked_guard(guard)
    with open_runtime(model_path(model, domain), host=host) as runtime:
        knowledge = domain_of(runtime.metadata, model, domain, constrain=constrain)
        knowledge.read_input(line)  # a bad line is an error message, before a model is loaded
        outcome = Engine(runtime.generate, knowledge, guarded, constrain=constrain).ask(line)
    if as_json:
        show.as_json(outcome.to_json(knowledge))
    elif outcome.answer is not None:
        show.line(printable(knowledge.write_answer(outcome.answer)))
    if outcome.reason and outcome.status == "valid":  # the guard's replacement
        show.note(outcome.reason)
    if outcome.status != "valid":
        show.stderr.print(f"{outcome.status}: {outcome.reason}", markup=False)
        raise typer.Exit(1)


def infer(
    source: Annotated[
        Path,
        typer.Argument(help="Inputs: plain lines, .jsonl, .csv (a column a key), .parquet; - is standard input."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Outcomes: .jsonl, .csv or .parquet; - is standard output.")
    ],
    model: Model = DEFAULT_MODEL,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="An Ollama to ask; several share the work (repeatable).")
    ] = None,
    guard: Guarded = "flag",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one answer of a server may take.")] = 120,
    domain: DomainName = None,
    constrain: Constrain = False,
    min_confidence: Annotated[
        str | None,
        typer.Option(help="Below this log-probability the rules answer; auto: no lowered danger of validation passes."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray for many machines (folders of Parquet).")] = "local",
    as_json: AsJson = False,
) -> None:
    """Answer every row of a file; one outcome row (valid, invalid or failed) per input, in input order.

    Interrupted or killed, the same command goes on where it was; -o - answers line by line and keeps nothing.
    Exit 1 when a row is not valid.
    """
    from drivecoach.batch.read import STANDARD
    from drivecoach.batch.run import Settings, check_output
    from drivecoach.infer import check_guard

    guarded = checked_guard(guard)
    if engine not in ENGINES:
        raise typer.BadParameter(f"--engine is one of {', '.join(ENGINES)}")
    to_stdout = str(output) == STANDARD
    if engine == "ray" and (to_stdout or str(source) == STANDARD):
        raise typer.BadParameter("--engine ray reads and writes folders of Parquet, no streams")
    least = None if min_confidence is None else _least(min_confidence, model, domain)
    settings = Settings(
        model_path(model, domain), tuple(host or ()), guarded, timeout, constrain=constrain, min_confidence=least
    )
    if engine == "local" and not to_stdout:
        check_output(output, [source, Path(settings.model), Path((domain or "").partition(":")[0] or ".")])
    hosts = settings.connect()
    knowledge = domain_of(hosts.metadata, model, domain, constrain=constrain)
    check_guard(guard, knowledge)
    if engine == "ray":
        from drivecoach.batch.ray import run_on_ray

        hosts.close()
        summary = run_on_ray(source, output, domain, settings)
    else:
        summary = _infer(source, None if to_stdout else output, knowledge, settings, hosts)
    if as_json:
        show.as_json(summary.model_dump(), quiet.stderr if to_stdout else quiet.stdout)
    else:
        rows = {name.replace("_", " "): value for name, value in summary}
        show.table("infer", rows, show.stderr if to_stdout else show.stdout)
    if summary.valid < summary.rows:
        raise typer.Exit(1)


def _infer(source: Path, output: Path | None, domain: AnyDomain, settings: Settings, hosts: Hosts) -> Summary:
    from drivecoach.batch.read import Stream, open_source
    from drivecoach.batch.run import run_batch

    opened = open_source(source, domain)
    if isinstance(opened, Stream):
        show.note(f"waiting for lines from {opened.name}, until its other end is closed")
    if output is None:
        show.note("no journal is kept for standard output: a second run asks everything anew")
        return run_batch(opened, None, domain, settings, hosts)
    with progress("infer", opened.rows, unit="row") as task:

        def advance(done: int, valid: int) -> None:
            task.update(done, valid=f"{valid / done:.1%}")

        return run_batch(opened, output, domain, settings, hosts, advance)


def checked_guard(given: str) -> Guard:
    """The guard of that name; raises BadParameter for another."""
    from drivecoach.infer import GUARDS

    if given not in GUARDS:
        raise typer.BadParameter(f"--guard is one of {', '.join(GUARDS)}")
    return cast("Guard", given)


def _least(given: str, model: str, domain: str | None) -> float:
    """The confidence that ``--min-confidence`` names; a number, or ``auto`` for the one that the run's rows allow."""
    from drivecoach.verify.coverage import least_confidence

    if given == "auto":
        found = least_confidence(model, domain)
        show.note(f"min-confidence auto: {found}")
        return found.min_confidence
    try:
        return float(given)
    except ValueError:
        raise typer.BadParameter("--min-confidence is a number (a natural logarithm, at most 0) or auto") from None


def model_path(model: str, domain: str | None = None) -> str:
    """What to open: the file that a run folder serves, the rules of ``--domain``, else what was named."""
    from drivecoach.runtime.rules import with_domain

    note_stale(Path(model))
    if not _is_run(model):
        return with_domain(model, domain)
    from drivecoach.config import read_recipe

    found = Path(model) / "export" / read_recipe(Path(model)).export.served
    if not found.is_file():
        raise ModelError(f"{model} has no exported model", hint=f"run: drivecoach export {model}")
    return str(found)


def _is_run(model: str) -> bool:
    """Whether a folder is meant; one that happens to be called ``rules`` is not."""
    from drivecoach.runtime import address

    return address(model)[0] == "llamacpp" and Path(model).is_dir()


def domain_of(metadata: Mapping[str, object], model: str, override: str | None, *, constrain: bool) -> AnyDomain:
    """The model's domain, or the one that ``--domain`` names; what one should know about it goes to stderr.

    A run folder's model has the domain of its recipe, wherever that lies; where it is gone, the model's own.
    """
    from drivecoach.domains.stored import Found, find_domain

    found = None
    if override is None and _is_run(model):
        from drivecoach.config import read_recipe
        from drivecoach.domains.load import load_domain

        with suppress(RecipeError):
            found = Found(load_domain(read_recipe(Path(model)).domain))
    found = found or find_domain(metadata, model, override)
    domain = found.domain
    if found.note:
        show.note(found.note)
    if constrain and domain.answer.node.kind == "text":
        raise typer.BadParameter(f"--constrain needs answers with a schema; those of {domain.name} are free text")
    return domain
