"""`drivecoach ask` and `drivecoach infer`: one validated answer, or a file of them."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivecoach.cli import show
from drivecoach.registry import Domain, load_domain

if TYPE_CHECKING:
    from drivecoach.batch.run import Settings

Model = Annotated[str, typer.Option("--model", help="A GGUF file, or ollama:NAME.")]
Host = Annotated[str | None, typer.Option("--host", help="Ollama's address (default: OLLAMA_HOST or 127.0.0.1:11434).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

DEFAULT_MODEL = "runs/nano/export/goDrive-q4_K_M.gguf"


def ask(
    line: Annotated[str, typer.Argument(help="A feature line: <特征>场地类型:科目二; …</特征>")],
    model: Model = DEFAULT_MODEL,
    host: Host = None,
    domain: Annotated[str, typer.Option(help="Whose input this is.")] = "driving",
    as_json: AsJson = False,
) -> None:
    """Answer one input; exit 1 when the answer is not valid."""
    from drivecoach import infer as inference
    from drivecoach.runtime import open_runtime

    knowledge = load_domain(domain)
    knowledge.read_input(line)  # a bad line is an error message, before a model is loaded
    with open_runtime(model, host=host) as runtime:
        outcome = inference.ask(runtime, knowledge, line)
    if as_json:
        show.as_json(outcome.to_json())
    elif outcome.answer is not None:
        show.stdout.print(knowledge.write_answer(outcome.answer), markup=False)
    if outcome.status != "valid":
        show.stderr.print(f"{outcome.status}: {outcome.reason}", markup=False)
        raise typer.Exit(1)


def infer(
    source: Annotated[
        Path,
        typer.Argument(help="Inputs: plain lines, .jsonl, .csv (a column a feature), .parquet; - is standard input."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Outcomes: .jsonl, .csv or .parquet.")],
    model: Model = DEFAULT_MODEL,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="An Ollama to ask; several share the work (repeatable).")
    ] = None,
    guard: Annotated[
        str, typer.Option(help="A broken invariant: flag it, replace the answer by the rules', or off.")
    ] = "flag",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one answer of a server may take.")] = 120,
    domain: Annotated[str, typer.Option(help="Whose inputs these are.")] = "driving",
    engine: Annotated[str, typer.Option(help="local, or ray for many machines (folders of Parquet).")] = "local",
    as_json: AsJson = False,
) -> None:
    """Answer every row of a file; one outcome row (valid, invalid or failed) per input, in input order.

    Interrupted or killed, the same command goes on where it was. Exit 1 when a row is not valid.
    """
    from drivecoach.batch.run import Settings

    if guard not in GUARDS:
        raise typer.BadParameter(f"--guard is one of {', '.join(GUARDS)}")
    if engine not in ENGINES:
        raise typer.BadParameter(f"--engine is one of {', '.join(ENGINES)}")
    if source.exists() and output.exists() and source.samefile(output):
        raise typer.BadParameter(f"-o {output} is the input itself; name another file")
    knowledge = load_domain(domain)
    settings = Settings(model, tuple(host or ()), guard, timeout)  # type: ignore[arg-type]  # checked above
    summary = (
        _infer_local(source, output, knowledge, settings)
        if engine == "local"
        else _infer_ray(source, output, knowledge, settings)
    )
    if as_json:
        show.as_json(summary)
    else:
        show.table("infer", summary)
    if summary["valid"] < summary["rows"]:
        raise typer.Exit(1)


GUARDS = ("flag", "replace", "off")
ENGINES = ("local", "ray")


def _infer_local(source: Path, output: Path, domain: Domain, settings: Settings) -> dict[str, Any]:
    from drivecoach.batch.read import open_source
    from drivecoach.batch.run import run_batch

    if str(source) == "-":
        with tempfile.TemporaryDirectory() as folder:
            spooled = Path(folder, "input.txt")
            with spooled.open("wb") as stream:
                shutil.copyfileobj(sys.stdin.buffer, stream)
            return _infer_local(spooled, output, domain, settings)
    opened = open_source(source, domain)
    with show.batch_bar(opened.rows) as advance:
        return run_batch(opened, output, domain, settings, advance)


def _infer_ray(source: Path, output: Path, domain: Domain, settings: Settings) -> dict[str, Any]:
    from drivecoach.batch.ray import run_on_ray

    return run_on_ray(source, output, domain, settings)
