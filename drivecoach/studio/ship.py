"""The tab Ship: a run's files to download, its card, and its model on an Ollama: deployed, there now, rolled back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from drivecoach.errors import ModelError, RuntimeFailure
from drivecoach.export import ledger
from drivecoach.export.card import CARD
from drivecoach.export.deploy import check_name, previous_name
from drivecoach.files import sha256
from drivecoach.pipeline import Run
from drivecoach.report.words import Words, size
from drivecoach.studio.actions import Action, chosen, in_use
from drivecoach.studio.endpoints import Asked, get, post, told
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import RUNS, Workspace

MODELFILE = "Modelfile"
START = "ollama serve"
"""The command after which an Ollama answers."""
_SECONDS = 3.0
"""What an Ollama on this machine may take to say what it has."""


class Deployment(Asked):
    """How a model is called there; empty for the recipe's name."""

    name: str = ""


class Ship:
    """The requests of the tab."""

    def __init__(self, workspace: Workspace, jobs: Jobs) -> None:
        self.workspace = workspace
        self.jobs = jobs

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            get("/api/ship/runs/{run}", self.run),
            Route("/api/ship/runs/{run}/files/{name}", self.file),
            post("/api/ship/runs/{run}/{action}", Deployment, self.start),
        ]

    def run(self, given: Mapping[str, str]) -> dict[str, Any]:
        """What there is to take away, and what is deployed."""
        folder = self.workspace.run(given["run"])
        run = Run.open(folder, lambda _: None)
        models, why = ollama_models()
        files = self._files(run)
        return {
            "name": run.recipe.export.name,
            "served": run.quantized.name,
            "files": [_file(path) for path in files.values()],
            "modelfile": _text(files.get(MODELFILE)),
            "card": _markdown(_text(files.get(CARD))),
            "stale": run.stale(),
            "ollama": {"url": ollama_url(), "there": why is None, "why": why and told(why)},
            "deployed": [
                {
                    **one.model_dump(mode="json", include={"name", "host", "digest", "date", "until", "previous"}),
                    "scores": ledger.told(one.scores),
                    "now": models.get(one.name) == one.digest if why is None and one.host == ollama_url() else None,
                }
                for one in reversed(ledger.read_ledger(folder))
            ],
            "actions": [action.to_json() for action in self._actions(run, models, why, given.get("name", ""))],
        }

    async def file(self, request: Request) -> Response:
        """One of the files, streamed."""
        run = Run.open(self.workspace.run(request.path_params["run"]), lambda _: None)
        name = request.path_params["name"]
        found = self._files(run).get(name)
        if found is None:
            line = f"{RUNS}/{run.folder.name}"
            raise ModelError(
                f"{line} has no file {name!r} to download", hint=f"make its files: drivecoach export {line}"
            )
        return FileResponse(found, filename=name, media_type="application/octet-stream")

    def _files(self, run: Run) -> dict[str, Path]:
        """What can be downloaded, by name: the served file first, then the others, and what belongs to them.

        A link that leads out of the folder is none of it.
        """
        folder = run.quantized.parent
        others = sorted(path for path in folder.glob("*.gguf") if path != run.quantized)
        there = [run.quantized, *others, folder / MODELFILE, folder / CARD]
        return {path.name: path for path in there if path.is_file() and self.workspace.holds(path)}

    def start(self, asked: Deployment, given: Mapping[str, str]) -> dict[str, object]:
        """Begin one of its actions as a job."""
        run = Run.open(self.workspace.run(given["run"]), lambda _: None)
        if asked.name:
            check_name(asked.name)
        models, why = ollama_models()
        action = chosen(self._actions(run, models, why, asked.name), given["action"])
        return self.jobs.start(action.argv, about=run.folder.name).to_json()

    def _actions(
        self, run: Run, models: dict[str, str], why: RuntimeFailure | None, name: str = ""
    ) -> Iterator[Action]:
        """Deploying, in the place of a better one too, and the way back."""
        line = f"{RUNS}/{run.folder.name}"
        more = ("--name", name) if name else ()
        nothing = None if run.quantized.is_file() else Words("it has no exported model", "还没有导出的模型")
        nobody = why and Words(f"no Ollama answers at {ollama_url()}", f"{ollama_url()} 没有 Ollama 应答")
        first = f"drivecoach export {line}" if nothing else START if nobody else ""
        disabled = nothing or nobody or in_use(run.folder)
        yield Action("deploy", ("deploy", line, *more, "--json"), disabled, first)
        yield Action("deploy-force", ("deploy", line, *more, "--force", "--json"), disabled, first)
        kept = previous_name(name or run.recipe.export.name)
        none = None if kept in models else Words(f"nothing is kept as {kept}", f"没有保留 {kept}")
        back = ("deploy", line, "--rollback", *more, "--json")
        yield Action("rollback", back, nobody or none, START if nobody else "")


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The requests that the tab makes."""
    return Ship(workspace, jobs).routes()


def ollama_url() -> str:
    """Where the Ollama is that models are deployed to: as OLLAMA_HOST says, or this machine's."""
    from drivecoach.export.ollama import OllamaHost

    with closing(OllamaHost()) as host:
        return host.url


def ollama_models() -> tuple[dict[str, str], RuntimeFailure | None]:
    """The digests of the models of the Ollama by their names, and why there are none where it does not answer."""
    try:
        from drivecoach.export.ollama import OllamaHost  # fails where OLLAMA_HOST is no address

        with closing(OllamaHost(seconds=_SECONDS)) as host:
            host.version()
            return host.models(), None
    except RuntimeFailure as error:
        return {}, error


def _file(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {
        "name": path.name,
        "size": size(stat.st_size),
        "bytes": stat.st_size,
        "sha256": _digest(path, stat.st_mtime_ns),
    }


@lru_cache(maxsize=64)
def _digest(path: Path, changed: int) -> str:
    """The digest of a file as it was changed last: a large one is read once."""
    return sha256(path)


def _markdown(card: str) -> str:
    """A card as HTML, without its metadata; HTML in it becomes text, and links to scripts are none."""
    text = re.sub(r"\A---\n.*?\n---\n|<!--.*?-->", "", card, flags=re.DOTALL)
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def _text(path: Path | None) -> str:
    """A file's text; empty where it is not there."""
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except OSError:
        return ""
