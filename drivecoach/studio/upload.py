"""A file that is dropped into the page: streamed into the folder within named limits, looked at before it stays."""

from __future__ import annotations

import threading
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from drivecoach.data.tables import open_parquet
from drivecoach.errors import DataError, InputError, StorageError
from drivecoach.files import free_disk, written_aside
from drivecoach.studio.endpoints import TooLarge, answered
from drivecoach.studio.workspace import DATA, DATA_ENDINGS, Workspace

LARGEST = 512 << 20
"""Bytes of a file that is uploaded; a larger one is copied into the folder by other means."""
UNPACKED = 1 << 30
"""Bytes that an XLSX or Parquet file may have once it is unpacked."""
CELLS = 100_000_000
"""Cells of a Parquet file."""
_SPARE = 1 << 30
"""Bytes of the disk that are left free."""


def route(workspace: Workspace) -> Route:
    """``POST /api/files/NAME`` with the file's bytes as the body."""
    arriving = _Arriving(workspace)

    async def handle(request: Request) -> Response:
        place = await run_in_threadpool(arriving.place, request.path_params["name"], _announced(request))
        size = 0
        try:
            with written_aside(place) as part:
                with part.open("wb") as stream:
                    async for piece in request.stream():
                        size += len(piece)
                        if size > LARGEST:
                            raise _too_large(place.name)
                        await run_in_threadpool(stream.write, piece)
                if not size:
                    raise InputError(f"{place.name} is empty", hint="choose a file with rows")
                await run_in_threadpool(_look_inside, part, place)
        except ClientDisconnect:  # nobody waits for an answer, and nothing of the file stays
            return Response(status_code=400)
        finally:
            arriving.places.discard(place)
        return answered({"file": workspace.name(place), "bytes": size})

    return Route("/api/files/{name:path}", handle, methods=["POST"])


class _Arriving:
    """Where files go that are on their way: two of one name, dropped in at once, go to two places."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._choosing = threading.Lock()
        self.places: set[Path] = set()

    def place(self, name: str, announced: int | None) -> Path:
        """Where a file goes, before a byte of it is read; it is taken until it is discarded."""
        if "/" in name or "\\" in name:
            raise InputError(
                f"{name[:120]!r} is a path, not the name of a file", hint="name the file without its folders"
            )
        if Path(name).suffix.lower() not in DATA_ENDINGS:
            raise InputError(
                f"{name[:120]!r} is no data file", hint=f"its name ends in one of {', '.join(DATA_ENDINGS)}"
            )
        if announced is not None and announced > LARGEST:
            raise _too_large(name)
        if free_disk(self._workspace.folder / DATA) < (announced or 0) + _SPARE:
            raise StorageError(
                f"the disk of {self._workspace.folder} has less than {_SPARE >> 30} GiB left beside this file",
                hint="free some space, then drop it in again",
            )
        with self._choosing:
            place = self._workspace.path(self._workspace.free(f"{DATA}/{name}", self.places))
            self.places.add(place)
        return place


def _announced(request: Request) -> int | None:
    try:
        return int(request.headers["content-length"])
    except (KeyError, ValueError):
        return None


def _too_large(name: str) -> TooLarge:
    return TooLarge(
        f"{name[:120]!r} is larger than {LARGEST >> 20} MiB, the most that the page takes",
        hint=f"copy it into the folder {DATA} of the studio; the list shows it then",
    )


def _look_inside(part: Path, place: Path) -> None:
    """Raise DataError for a file that is much larger than it looks."""
    kind, size = place.suffix.lower(), 0
    if kind == ".xlsx":
        try:
            with ZipFile(part) as parts:
                size = sum(each.file_size for each in parts.infolist())
        except BadZipFile:
            raise DataError(
                f"{place.name} is no XLSX file", hint="open it in Excel and save it again as .xlsx"
            ) from None
    elif kind == ".parquet":
        try:
            with open_parquet(part) as table:
                found = table.metadata
                size = sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups))
        except DataError as error:  # it names the file that is written aside
            raise DataError(error.message.replace(str(part), place.name), hint=error.hint) from None
        if found.num_rows * found.num_columns > CELLS:
            sizes = f"{found.num_rows:,} rows of {found.num_columns:,} columns"
            raise DataError(
                f"{place.name} has {sizes}, more than {CELLS:,} cells",
                hint="leave out columns or rows that are no part of a pair",
            )
    if size > UNPACKED:
        raise DataError(
            f"{place.name} is {size / 2**30:.1f} GiB unpacked, and {UNPACKED >> 30} GiB is the most",
            hint="save its rows as CSV in UTF-8 or as JSONL",
        )
