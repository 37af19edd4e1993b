"""Scripts, styles and pictures of a package, served by ourselves: right types, looked at anew by their ETag."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from drivecoach.web.safety import SAFETY

STATIC = "/web"
"""Where the files that all pages share are mounted: ``Mount(STATIC, Files("drivecoach.web"))``."""
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""By name, since the machine's own table may say otherwise; a script of another type is not run."""


class Files(StaticFiles):
    """The folder ``static`` of a package."""

    def __init__(self, package: str) -> None:
        super().__init__(directory=Path(str(files(package))) / "static")

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or 304 where the browser has it."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers.update({**SAFETY, "cache-control": "no-cache"})
        if answer.status_code == status_code and (kind := _TYPES.get(Path(full_path).suffix)):
            answer.headers["content-type"] = kind
        return answer
