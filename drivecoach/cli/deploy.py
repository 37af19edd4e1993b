"""`drivecoach deploy`: a run's model on an Ollama server, proved equal to its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivecoach.cli import show
from drivecoach.cli.ask import DomainName
from drivecoach.cli.listing import say_stale
from drivecoach.errors import ModelError, RuntimeFailure

if TYPE_CHECKING:
    from drivecoach.export.deploy import Deployed
    from drivecoach.pipeline import Run


def deploy(
    run_folder: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/nano")],
    name: Annotated[str | None, typer.Option(help="The model's name in Ollama (default: the recipe's).")] = None,
    host: Annotated[str | None, typer.Option(help="Its address (default: OLLAMA_HOST or 127.0.0.1:11434).")] = None,
    quantize: Annotated[str | None, typer.Option(help="Let Ollama quantize the f16 file: q8_0 or q4_K_M.")] = None,
    domain: DomainName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Create the model over Ollama's API, then prove its settings, prompts and answers; exit 1 on any difference."""
    from drivecoach.pipeline import Run

    say = show.stderr if as_json else show.stdout
    run = Run.open(run_folder, lambda text: say.print(text, markup=False), domain)
    say_stale(run.folder, run.stale())
    deployed = deploy_run(run, name, host, quantize)
    if as_json:
        show.as_json(deployed)
    else:
        show.table("deploy", deployed.rows())


def deploy_run(
    run: Run, name: str | None = None, host: str | None = None, quantize: str | None = None
) -> Deployed:
    """Deploy an exported run and return the proof."""
    from drivecoach.export.deploy import deploy as deploy_file
    from drivecoach.export.ollama import OllamaHost
    from drivecoach.export.proof import STATES
    from drivecoach.pipeline import gguf_name

    local = run.quantized if quantize is None else run.quantized.with_name(gguf_name(run.recipe, quantize))
    sent = local if quantize is None else run.quantized.with_name(gguf_name(run.recipe, "f16"))
    for file in (sent, local):
        if not file.is_file():
            raise ModelError(
                f"{file} is not there", hint=f"list it in export.quantizations, then: drivecoach export {run.folder}"
            )
    inputs = [pair.input for pair in run.sample(STATES)[1]]
    server = OllamaHost(host)
    try:
        return deploy_file(
            server,
            name or run.recipe.export.name,
            sent,
            run.chat,
            run.recipe.export,
            inputs,
            quantize=quantize,
            local=local,
            say=run.say,
        )
    finally:
        server.close()


def deploy_where_it_runs(run: Run) -> Deployed | None:
    """Deploy to the Ollama of this machine (or OLLAMA_HOST); where none answers, say how to and return None."""
    from drivecoach.export.ollama import OllamaHost

    server = OllamaHost()
    try:
        server.version()
    except RuntimeFailure:
        run.say(f"no Ollama answers at {server.url}; where one does: drivecoach deploy {run.folder} --host URL")
        return None
    finally:
        server.close()
    deployed = deploy_run(run)
    run.say(f"deployed: ollama run {deployed.name}")
    return deployed
