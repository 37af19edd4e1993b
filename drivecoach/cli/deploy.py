"""`drivecoach deploy`: a run's model on an Ollama server, proved equal to its training, and the way back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from drivecoach.cli import show
from drivecoach.cli.listing import say_stale
from drivecoach.cli.options import RUNS, AsJson, DomainName, Host
from drivecoach.errors import ModelError, RuntimeFailure, StorageError

if TYPE_CHECKING:
    from drivecoach.export.deploy import Deployed
    from drivecoach.pipeline import Run

NoDeploy = Annotated[bool, typer.Option("--no-deploy", help="Leave Ollama alone, even where one answers.")]
Proof = Literal["quick", "full"]
"""How much is compared; the counts are in export/proof.py."""


def deploy(
    run_folder: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/nano; none to roll back a --name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in Ollama (default: the recipe's).")] = None,
    host: Host = None,
    quantize: Annotated[Literal["q8_0", "q4_K_M"] | None, typer.Option(help="Ollama quantizes the f16 file.")] = None,
    proof: Annotated[Proof, typer.Option(help="How many prompts and answers are compared.")] = "full",
    force: Annotated[bool, typer.Option("--force", help="Replace a model that scored better, too.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Bring back what the last deployment replaced.")] = False,
    domain: DomainName = None,
    as_json: AsJson = False,
) -> None:
    """Make the model in Ollama under a temporary name, prove its settings, prompts and answers, then swap it in.

    What it replaces is kept as NAME:previous. Exit 1, with what was there untouched, on any difference, and where
    what is there scored better.
    """
    from drivecoach.pipeline import Run

    if rollback:
        _roll_back(run_folder, name, host, as_json=as_json)
        return
    say = show.stderr if as_json else show.stdout
    if run_folder is None:
        raise typer.BadParameter("name a run folder: drivecoach deploy runs/nano", param_hint="RUN")
    run = Run.open(run_folder, lambda text: say.print(text, markup=False), domain)
    say_stale(run.folder, run.stale())
    deployed = deploy_run(run, name, host, quantize, proof, force=force)
    if as_json:
        show.as_json(deployed)
    else:
        show.table("deploy", deployed.rows())


def deploy_run(
    run: Run,
    name: str | None = None,
    host: str | None = None,
    quantize: str | None = None,
    proof: Proof = "full",
    *,
    force: bool = False,
) -> Deployed:
    """Deploy an exported run, note it in the run's ledger, and return the proof."""
    from drivecoach.export import deploy as deploying
    from drivecoach.export import ledger
    from drivecoach.export.ollama import OllamaHost
    from drivecoach.export.proof import FULL, QUICK
    from drivecoach.files import sha256
    from drivecoach.verify.certificate import certificate_of

    local = run.quantized if quantize is None else run.quantized.with_name(run.recipe.export.gguf(quantize))
    sent = local if quantize is None else run.quantized.with_name(run.recipe.export.gguf("f16"))
    for file in (sent, local):
        if not file.is_file():
            raise ModelError(
                f"{file} is not there", hint=f"list it in export.quantizations, then: drivecoach export {run.folder}"
            )
    rows, pairs = run.sample(FULL.states)
    if rows != "held-out test rows":
        run.say(f"deploy: no test rows were held out (data.test): the proof asks {rows}")
    inputs = [pair.input for pair in pairs]
    candidate = deploying.Candidate(sent, run.chat, run.recipe.export, inputs, quantize, local)
    sent_hash = sha256(sent)
    certificate = certificate_of(local)
    run.say(f"deploy: certificate: {certificate or f'none; to make one: drivecoach verify {run.folder}'}")
    scores = ledger.scores_of(run.folder, sent_hash)
    if not scores:
        run.say(f"deploy: {run.folder} was not evaluated since its export: drivecoach evaluate {run.folder}")
    with closing(OllamaHost(host)) as server:
        deployed = deploying.deploy(
            server,
            run.recipe.export.name if name is None else name,
            candidate,
            QUICK if proof == "quick" else FULL,
            judge=lambda digest: ledger.may_replace(run.folder.parent, digest, sent_hash, scores, run.say, force=force),
            say=run.say,
        )
    entry = ledger.Deployment(
        name=deployed.name,
        host=deployed.host,
        digest=deployed.digest,
        date=datetime.now(UTC),
        file=sent_hash,
        scores=scores,
        previous=deployed.replaced,
    )
    try:
        ledger.record(run.folder, entry)
    except StorageError as error:  # the model is there all the same
        run.say(f"note: deployed, but later deployments will not know its score: {error.message}")
    if deployed.replaced:
        kept = deploying.previous_name(deployed.name)
        back = f"drivecoach deploy {run.folder} --rollback --name {deployed.name}" + (f" --host {host}" if host else "")
        run.say(f"deploy: {kept} is what was there; back to it: {back}")
    return deployed


def deploy_where_it_runs(run: Run) -> Deployed | None:
    """Deploy to the Ollama of this machine (or OLLAMA_HOST), unless a better model is there.

    Where none answers, say how to and return None.
    """
    from drivecoach.export.ledger import NotReplaced

    try:
        from drivecoach.export.ollama import OllamaHost  # fails where OLLAMA_HOST is no address

        with closing(OllamaHost(seconds=5)) as server:
            server.version()
    except RuntimeFailure as error:
        run.say(f"not deployed: {error.message}; where an Ollama answers: drivecoach deploy {run.folder} --host URL")
        return None
    try:
        deployed = deploy_run(run)
    except NotReplaced as refused:
        run.say(f"{refused}\nhint: {refused.hint}")
        return None
    run.say(f"deployed: ollama run {deployed.name}")
    return deployed


def _roll_back(run_folder: Path | None, name: str | None, host: str | None, *, as_json: bool) -> None:
    from drivecoach.export import deploy as deploying
    from drivecoach.export import ledger
    from drivecoach.export.ollama import OllamaHost
    from drivecoach.pipeline import Run

    if run_folder is None and name is None:
        raise typer.BadParameter("name a run folder, or a model by --name", param_hint="RUN")
    if name is None:
        name = Run.open(cast(Path, run_folder)).recipe.export.name
    runs = RUNS if run_folder is None else run_folder.parent
    with closing(OllamaHost(host)) as server:
        done = deploying.roll_back(server, name, show.note)
    try:
        ledger.record_rollback(runs, done.name, done.host, done.digest, done.replaced)
    except StorageError as error:
        show.note(f"rolled back, but `drivecoach runs` will not know: {error.message}")
    if as_json:
        show.as_json(done)
        return
    rows = {"model": f"{done.name} on {done.host}", "again": ledger.describe(runs, done.digest)}
    if done.replaced:
        rows[deploying.previous_name(done.name)] = ledger.describe(runs, done.replaced)
    show.table("rolled back", rows)
