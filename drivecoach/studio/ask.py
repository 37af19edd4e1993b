"""The tab Ask: two models side by side on one input, each answer judged, and what the rules say beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from starlette.routing import Route

from drivecoach.config import read_recipe
from drivecoach.domain import AnyDomain
from drivecoach.domain.node import text_of
from drivecoach.domain.scores import at
from drivecoach.errors import DrivecoachError, InputError, RecipeError
from drivecoach.infer import GUARDS, Guard, check_guard
from drivecoach.pipeline import Run
from drivecoach.report.answers import rank, shown
from drivecoach.report.gather import held_out, various
from drivecoach.studio.endpoints import Asked, get, post, told
from drivecoach.studio.engines import MOST, Engines, Model, find_model, taught
from drivecoach.studio.fields import form_of_input
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.jobs import shown as command_line
from drivecoach.studio.ship import ollama_models
from drivecoach.studio.workspace import Workspace

_EXAMPLES = 12
_APART = 997
"""Where nothing is held out, examples are taken so far apart from all inputs."""


class Question(Asked):
    """What is asked: a text, or the fields of the form."""

    models: list[str]
    guard: Guard = "flag"
    text: str = ""
    record: dict[str, JsonValue] | None = None


class Ask:
    """The requests of the tab."""

    def __init__(self, workspace: Workspace, engines: Engines) -> None:
        self.workspace = workspace
        self.engines = engines

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            get("/api/ask/models", self.models),
            get("/api/ask/form", self.form),
            post("/api/ask", Question, self.ask),
        ]

    def models(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Everything that can be asked, by kind."""
        served, files = _files(self.workspace)
        models, why = ollama_models()
        return {
            "runs": served,
            "files": files,
            "ollama": [f"ollama:{name}" for name in models],
            "rules": [f"rules:{name}" for name in taught(self.workspace)],
            "no_ollama": why and told(why),
        }

    def form(self, given: Mapping[str, str]) -> dict[str, Any]:
        """How an input of a model is given, with examples."""
        model = find_model(self.workspace, given.get("model", ""))
        with self.engines.opened(model) as target:
            domain, run, note = target.domain, target.run, target.note
        return {
            **form_of_input(domain),
            "guards": [guard for guard in GUARDS if _can(domain, guard)],
            "note": note,
            "bytes": model.file.stat().st_size if model.file else 0,
            "examples": list(self._examples(domain, run)),
        }

    def _examples(self, domain: AnyDomain, run: Path | None) -> Iterator[dict[str, Any]]:
        """Held-out rows of the model's run, or of another run of the same domain; else inputs from all over."""
        for folder in [run] if run else sorted(self.workspace.runs_folder.glob("*")):
            try:
                opened = Run.open(folder, lambda _: None)
                if opened.domain.identity() != domain.identity() or not (rows := held_out(opened)):
                    continue
                for pair, right in various(domain, rows)[:_EXAMPLES]:
                    yield _example(domain, domain.read_input(pair.input), domain.answer.parse(right))
                return
            except DrivecoachError:  # a run that cannot be read has no examples
                continue
        for value in islice(domain.inputs(), 0, _APART * _EXAMPLES, _APART):
            yield _example(domain, value, domain.teach(value))

    def ask(self, asked: Question, _: Mapping[str, str]) -> dict[str, Any]:
        """One input to one or two models."""
        if not 1 <= len(asked.models) <= MOST:
            raise RecipeError("one model or two are asked", hint="choose a model on each side")
        models, guard = [find_model(self.workspace, id) for id in asked.models], asked.guard
        opened = [self._domain_of(model) for model in models]
        domains = [one for one in opened if not isinstance(one, DrivecoachError)]
        if not domains:
            raise next(one for one in opened if isinstance(one, DrivecoachError))
        domain = domains[0]
        if len({one.name for one in domains}) > 1:
            raise RecipeError(
                f"{models[0].id} answers {domain.name}, {models[1].id} answers {domains[1].name}",
                hint="choose two models of one domain",
            )
        value = domain.read_input(_text(domain, asked))
        text = domain.write_input(value)
        answers = [self._answer(model, its, text, guard) for model, its in zip(models, opened, strict=True)]
        right = _right(domain, value)
        said = [*(one.get("answer") for one in answers), *([right["answer"]] if right else [])]
        return {
            "text": text,
            "record": domain.input.dump(value),
            "answers": answers,
            "right": right,
            "rows": list(_rows(domain, said, judged=right is not None)),
        }

    def _domain_of(self, model: Model) -> AnyDomain | DrivecoachError:
        """What a model answers, or why it cannot be opened: the other one is asked all the same."""
        try:
            with self.engines.opened(model) as target:
                return target.domain
        except DrivecoachError as error:
            return error

    def _answer(self, model: Model, domain: AnyDomain | DrivecoachError, text: str, asked: Guard) -> dict[str, Any]:
        """What one model says; where it says nothing, why."""
        guard = asked if not isinstance(domain, DrivecoachError) and _can(domain, asked) else "flag"
        argv = ["ask", text, *model.arguments, *(["--guard", guard] if guard != "flag" else [])]
        about = {"model": model.id, "command": command_line(argv), "guard": guard}
        try:
            if isinstance(domain, DrivecoachError):
                raise domain
            outcome = self.engines.ask(model, text, guard)
        except DrivecoachError as error:
            return {**about, "status": "failed", **told(error)}
        row = outcome.to_json(domain)
        return {
            **about,
            **{key: row.get(key) for key in ("status", "source", "reason", "thinking", "answer", "milliseconds")},
            "shown": None if outcome.answer is None else shown(domain, row["answer"]),
            "violations": [{"id": broken.id, "text": broken.text} for broken in outcome.violations],
        }


def routes(workspace: Workspace, jobs: Jobs) -> list[Route]:
    """The requests that the tab makes."""
    return Ask(workspace, Engines()).routes()


def _files(workspace: Workspace) -> tuple[list[dict[str, str]], list[str]]:
    """The runs with a model to serve, each with what its recipe calls its domain; and all other GGUF files."""
    served: dict[Path, dict[str, str]] = {}
    for folder in sorted(workspace.runs_folder.glob("*")):
        try:
            recipe = read_recipe(folder)
        except DrivecoachError:
            continue
        if (file := folder / "export" / recipe.export.served).is_file():
            served[file] = {"id": workspace.name(folder), "domain": str(recipe.domain)}
    others = [workspace.name(file) for run in workspace.runs_folder.glob("*") for file in run.glob("export/*.gguf")]
    files = [name for name in [*workspace.files(".gguf"), *sorted(others)] if workspace.folder / name not in served]
    return list(served.values()), files


def _can(domain: AnyDomain, guard: Guard) -> bool:
    try:
        check_guard(guard, domain)
    except RecipeError:
        return False
    return True


def _text(domain: AnyDomain, asked: Question) -> str:
    """The input's text, typed or made from the form."""
    if asked.record is not None:
        return domain.record_text(asked.record)
    if not asked.text.strip():
        raise InputError("nothing is asked", hint="fill in the form, or type a line")
    return asked.text


def _example(domain: AnyDomain, value: Any, answer: Any) -> dict[str, Any]:
    level = domain.level(answer) if domain.levels and answer is not None else ""
    return {
        "text": domain.write_input(value),
        "record": domain.input.dump(value),
        "level": level,
        "rank": rank(domain, level),
        "says": "" if answer is None else shown(domain, domain.answer.dump(answer))["sentence"],
    }


def _right(domain: AnyDomain, value: Any) -> dict[str, Any] | None:
    """What the domain's teacher says, by which rule and why; None where there is none, or it says nothing."""
    answer = domain.teach(value)
    if answer is None:
        return None
    dumped = domain.answer.dump(answer)
    why = domain.explain(value)
    explained = why and {"rule": why.rule, "reason": why.reason, "source": why.source, "read": dict(why.read)}
    return {"answer": dumped, "shown": shown(domain, dumped), "why": explained}


def _rows(domain: AnyDomain, said: list[Any], *, judged: bool) -> Iterator[dict[str, Any]]:
    """Each field of the answers side by side, and which are wrong where the last of them is the right one."""
    compared = [domain.answer.parse(one) if one is not None else None for one in said]
    right = compared[-1] if judged else None
    parts = [domain.compare(right, one) for one in compared] if right is not None else []
    leaves = list(domain.answer.node.leaves()) or [((), domain.answer.node)]
    for path, _ in leaves:
        name = ".".join(path)
        values = [None if one is None else _shown(at(one, path)) for one in said]
        models = values[:-1] if judged else values
        yield {
            "name": name or "answer",
            "values": values,
            "differs": len(set(models)) > 1,
            "wrong": [not part.get(name or "answer", True) for part in parts],
        }


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return "、".join(map(text_of, value)) if isinstance(value, list) else text_of(value)
