"""Pages and their files: right types, looked at anew, nothing beside the folder, no text that becomes HTML."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

import drivecoach.web
from drivecoach.web import STATIC, Files, Pages

STATIC_FOLDER = Path(drivecoach.web.__file__).parent / "static"


async def page(_: Request) -> Response:
    return Pages("drivecoach.web").answer("frame.html.jinja", {"name": "</script><script>alert(1)</script>\ud83d"})


APP = Starlette(routes=[Route("/", page), Mount(STATIC, Files("drivecoach.web"))])


def get(path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC_FOLDER.iterdir()))
def test_a_file_has_the_type_that_its_name_says_and_is_looked_at_anew(name: str) -> None:
    answer = get(f"{STATIC}/{name}")
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert answer.headers["content-type"].partition(";")[0] == kinds[Path(name).suffix]
    assert answer.content == (STATIC_FOLDER / name).read_bytes()
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-cache")
    again = get(f"{STATIC}/{name}", **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["../files.py", "%2e%2e/files.py", "..%2ffiles.py", "templates/frame.html.jinja", ""])
def test_nothing_beside_the_folder_is_served(path: str) -> None:
    assert get(f"{STATIC}/{path}").status_code == 404


def test_a_page_runs_files_of_its_own_server_alone_and_holds_texts_as_texts() -> None:
    answer = get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "alert(1)" in answer.text and "<script>alert" not in answer.text
    assert "http://" not in answer.text and "https://" not in answer.text and " style=" not in answer.text
