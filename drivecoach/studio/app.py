"""The studio's application: its page and files, what every tab reads, the tabs' routes, and what guards all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from drivecoach import __version__
from drivecoach.config.shipped import shipped_recipes
from drivecoach.domains.load import DOMAINS
from drivecoach.errors import DrivecoachError
from drivecoach.serve.middleware import LocalHost, Origin
from drivecoach.studio import ask, data, plan, proof, ship, train, upload
from drivecoach.studio.endpoints import Asked, get, post, refused
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.token import Token
from drivecoach.studio.workspace import DATA, DATA_ENDINGS, DOMAINS_FOLDER, RECIPES, Workspace
from drivecoach.web import STATIC, Files, Pages

TABS = (data, plan, train, proof, ask, ship)
"""The tabs in the order of the page: each a module with `routes` here, and one of the same name in ``static/``."""


def make_app(workspace: Workspace, jobs: Jobs, token: str, port: int) -> Starlette:
    """The application for those who have the ``token``; it listens on ``port`` of 127.0.0.1."""
    own = [f"http://{name}:{port}" for name in ("127.0.0.1", "localhost")]
    pages = Pages("drivecoach.studio")

    async def page(_: Request) -> Response:
        return pages.answer("studio.html.jinja", {"tabs": [_name(tab) for tab in TABS]})

    routes = [
        Route("/", page, methods=["GET"]),
        Mount(STATIC, Files("drivecoach.web")),
        Mount("/studio", Files("drivecoach.studio")),
        get("/api/workspace", lambda _: describe(workspace)),
        *job_routes(jobs),
        upload.route(workspace),
        *(route for tab in TABS for route in tab.routes(workspace, jobs)),
    ]
    middleware = [
        Middleware(LocalHost),
        Middleware(Origin, origins=own),
        Middleware(Token, token=token, name=f"drivecoach-studio-{port}"),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={DrivecoachError: refused})


def describe(workspace: Workspace) -> dict[str, object]:
    """What is in the folder, and what comes with drivecoach."""
    return {
        "folder": str(workspace.folder),
        "version": __version__,
        "files": sorted(filter(_is_data, workspace.files(*DATA_ENDINGS)), key=_is_elsewhere),
        "recipes": [name for folder in (RECIPES, DOMAINS_FOLDER) for name in workspace.files(".yaml", under=folder)],
        "shipped_recipes": [*shipped_recipes()],
        "domains": [*DOMAINS.names(), *(name for name in workspace.files(".py") if _is_domain(workspace, name))],
        "largest_upload": upload.LARGEST,
    }


def _name(tab: object) -> str:
    return str(getattr(tab, "__name__", "")).rpartition(".")[2]


def _is_data(name: str) -> bool:
    """Not what a check set aside, nor a file that only ends like one of pairs."""
    return not name.endswith((".rejects.jsonl", ".schema.json", "package.json", "package-lock.json"))


def _is_elsewhere(name: str) -> bool:
    """Whether a file lies outside the folders of the studio: it is listed behind those that lie in them."""
    return not name.startswith((f"{DATA}/", f"{DOMAINS_FOLDER}/"))


def _is_domain(workspace: Workspace, name: str) -> bool:
    """Whether a Python file looks like one that defines a domain; it is not imported here."""
    if Path(name).name.startswith("test_"):
        return False
    try:
        with workspace.path(name).open(encoding="utf-8", errors="replace") as stream:
            return "Domain(" in stream.read(1 << 20)
    except OSError:  # another user's, or just removed
        return False


def job_routes(jobs: Jobs) -> list[Route]:
    """What a page asks of the commands that were started."""

    def stop(_: Asked, given: Mapping[str, str]) -> object:
        job = jobs.job(given["id"])
        jobs.stop(job)
        return job.to_json()

    return [
        get("/api/jobs", lambda _: [job.to_json() for job in jobs.jobs()]),
        get("/api/jobs/{id}", lambda given: jobs.job(given["id"]).to_json()),
        get("/api/jobs/{id}/output", lambda given: {"output": jobs.job(given["id"]).output}),
        get("/api/jobs/{id}/result", lambda given: {"result": jobs.job(given["id"]).result()}),
        post("/api/jobs/{id}/stop", Asked, stop),
    ]
