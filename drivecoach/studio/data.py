"""The tab Data: a file chosen or dropped in, what a check finds, rows edited and saved aside, coverage."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from starlette.routing import Route

from drivecoach.config.shipped import shipped_data
from drivecoach.domain.base import NAME
from drivecoach.domains.load import DOMAINS, files_of
from drivecoach.errors import InputError
from drivecoach.files import sha256, write_json, written_aside
from drivecoach.studio import rows
from drivecoach.studio.endpoints import Asked, get, post
from drivecoach.studio.jobs import DATA_MEMORY, Job, Jobs
from drivecoach.studio.reader import Reader
from drivecoach.studio.workspace import DATA, DOMAINS_FOLDER, Workspace

PAGE = 25
"""Rows that are shown at a time."""


class OfFile(Asked):
    """A file, and whose rows it holds."""

    file: str
    domain: str = "driving"


class Shipped(Asked):
    """Pairs that come with drivecoach."""

    name: str


class NewDomain(Asked):
    """A domain to be proposed from the rows of a file."""

    file: str
    name: str


class Edited(OfFile):
    """One row of a file as it is to be; without an edit it is as it was again."""

    row: int = Field(ge=1)
    edit: rows.Edit | None


class _Kept(BaseModel):
    """The edits of a file that are not saved yet: they outlive the page and the studio."""

    edits: dict[int, rows.Edit] = {}


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The tab's routes."""
    tab = _Tab(workspace, jobs, Reader())
    return [
        get("/api/data/shipped", lambda _: [*shipped_data()]),
        post("/api/data/copy", Shipped, lambda asked, _: tab.copy(asked)),
        get("/api/data/rows", lambda given: tab.page(given)),
        get("/api/data/state", lambda given: tab.state(given)),
        post("/api/data/check", OfFile, lambda asked, _: tab.check(asked)),
        get("/api/data/findings", lambda given: tab.findings(given)),
        post("/api/data/edit", Edited, lambda asked, _: tab.edit(asked)),
        post("/api/data/save", OfFile, lambda asked, _: tab.save(asked)),
        post("/api/data/coverage", OfFile, lambda asked, _: tab.coverage(asked)),
        post("/api/data/init", NewDomain, lambda asked, _: tab.init(asked)),
    ]


def checked_domain(workspace: Workspace, name: str) -> str:
    """``name``, which is that of a shipped or installed domain, or a Python file of the folder."""
    if name in DOMAINS.names():
        return name
    for path in files_of(name):
        workspace.existing(path.as_posix())
    if not files_of(name):
        DOMAINS.load(name)  # which says what there is
    return name


class _Tab:
    def __init__(self, workspace: Workspace, jobs: Jobs, reader: Reader) -> None:
        self._workspace, self._jobs, self._reader = workspace, jobs, reader
        self._results: OrderedDict[str, Any] = OrderedDict()
        self._editing = threading.Lock()

    def copy(self, asked: Shipped) -> object:
        """Put shipped pairs into the folder, where they can be changed."""
        source = shipped_data().get(asked.name)
        if source is None:
            raise InputError(f"no pairs named {asked.name[:80]!r} come with drivecoach", hint="choose one of the list")
        name = f"{DATA}/{asked.name}"
        place = self._workspace.path(name)
        if not place.exists():
            with written_aside(place) as part:
                shutil.copyfile(source, part)
        return {"file": name}

    def page(self, given: Mapping[str, str]) -> object:
        """Some rows of a file, with the edits that are not saved yet."""
        path, domain = self._file(given), self._domain(given)
        laid, more = self._reader.call(rows.page, path, domain, _number(given, "start"), PAGE)
        return {"rows": laid, "more": more}

    def state(self, given: Mapping[str, str]) -> object:
        """What is known of a file: its unsaved edits, and the newest check and coverage of it."""
        path = self._file(given)
        about = f"{given.get('file')} {given.get('domain')}"
        kept = self._kept(path)
        newer: dict[str, object] = {}
        for job in self._about(about):
            if _is_newer(job, path):
                newer.setdefault(job.argv[1], job.to_json())
        return {"edits": kept.edits, "bytes": path.stat().st_size, **newer}

    def check(self, asked: OfFile) -> object:
        """`drivecoach data check`."""
        return self._start(asked, "check")

    def coverage(self, asked: OfFile) -> object:
        """`drivecoach data report`."""
        return self._start(asked, "report")

    def findings(self, given: Mapping[str, str]) -> object:
        """What a check found, some rows at a time, each laid out in cells."""
        job = self._jobs.job(given.get("job", ""))
        result = self._result(job)
        if result is None:
            raise InputError("the check has no result", hint=job.messages.strip()[-600:] or "start it again")
        found = [*result["refused"], *({**each, "kind": "invariant"} for each in result["warnings"])]
        kind = given.get("kind", "")
        chosen = [each for each in found if not kind or each["kind"] == kind]
        start = _number(given, "start")
        shown = chosen[start : start + PAGE]
        domain = job.argv[job.argv.index("--domain") + 1]
        values = [(each["row"], each.get("value")) for each in shown]
        laid = self._reader.call(rows.lay_out_all, values, self._place_of(domain))
        counts: dict[str, int] = {}
        for each in found:
            counts[each["kind"]] = counts.get(each["kind"], 0) + 1
        return {
            "rows": result["rows"],
            "accepted": result["accepted"],
            "counts": counts,
            "found": len(chosen),
            "findings": [{**each, "value": None, "laid": one} for each, one in zip(shown, laid, strict=True)],
        }

    def edit(self, asked: Edited) -> object:
        """Keep what a row is to be; nothing is written to the file."""
        path = self._workspace.existing(asked.file)
        with self._editing:
            kept = self._kept(path)
            if asked.edit is None:
                kept.edits.pop(asked.row, None)
            else:
                kept.edits[asked.row] = asked.edit
            write_json(self._edits(path), kept.model_dump())
        return {"edits": kept.edits}

    def save(self, asked: OfFile) -> object:
        """Write the file with the edits under a new name; the original stays as it is."""
        path = self._workspace.existing(asked.file)
        kept = self._kept(path)
        if not kept.edits:
            raise InputError("no row was edited", hint="edit a row first")
        name = self._workspace.free(f"{DATA}/{path.stem}-edited.jsonl")
        domain = self._place_of(checked_domain(self._workspace, asked.domain))
        written = self._reader.call(rows.save, path, domain, kept.edits, self._workspace.path(name))
        self._edits(path).unlink(missing_ok=True)
        return {"file": name, "rows": written}

    def init(self, asked: NewDomain) -> object:
        """`drivecoach init`."""
        if not NAME.fullmatch(asked.name):
            raise InputError(f"{asked.name[:80]!r} is no name for a domain", hint="use letters, digits and . _ -")
        self._workspace.existing(asked.file)
        folder = f"{DOMAINS_FOLDER}/{asked.name}"
        self._workspace.path(folder)
        argv = ["init", folder, "--from", asked.file, "--json"]
        return self._jobs.start(argv, about=folder, memory=DATA_MEMORY).to_json()

    def _start(self, asked: OfFile, verb: str) -> object:
        self._workspace.existing(asked.file)
        domain = checked_domain(self._workspace, asked.domain)
        about = f"{asked.file} {asked.domain}"
        argv = ["data", verb, asked.file, "--domain", domain, "--json"]
        return self._jobs.start(argv, about=about, memory=DATA_MEMORY).to_json()

    def _about(self, about: str) -> list[Job]:
        return [job for job in self._jobs.jobs() if job.argv[0] == "data" and job.about == about]

    def _result(self, job: Job) -> Any:
        """A job's result, read once: findings are asked for page by page."""
        if job.id not in self._results:
            result = job.result()
            if not isinstance(result, dict) or "refused" not in result:
                return None
            self._results[job.id] = result
            while len(self._results) > 2:
                self._results.popitem(last=False)
        return self._results[job.id]

    def _file(self, given: Mapping[str, str]) -> Path:
        return self._workspace.existing(given.get("file", ""))

    def _domain(self, given: Mapping[str, str]) -> str:
        return self._place_of(checked_domain(self._workspace, given.get("domain", "")))

    def _place_of(self, domain: str) -> str:
        """The reference as the reader, which works in another folder, finds it."""
        return str(self._workspace.folder / domain) if files_of(domain) else domain

    def _edits(self, path: Path) -> Path:
        """By the bytes of the file: edits of an earlier state of it would be of other rows."""
        return self._workspace.own / "edits" / f"{sha256(path)}.json"

    def _kept(self, path: Path) -> _Kept:
        try:
            return _Kept.model_validate_json(self._edits(path).read_bytes())
        except (OSError, ValueError):
            return _Kept()


def _is_newer(job: Job, path: Path) -> bool:
    """Whether a job looked at the file as it is now."""
    return (job.folder / "job.json").stat().st_mtime >= path.stat().st_mtime


def _number(given: Mapping[str, str], name: str) -> int:
    try:
        return max(0, min(int(given.get(name, "0")), 10**9))
    except ValueError:
        return 0
