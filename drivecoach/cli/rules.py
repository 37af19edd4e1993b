"""`drivecoach explain` and `drivecoach rules`: why an input gets its answer, and all the rules there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from drivecoach.cli import show
from drivecoach.cli.ask import DEFAULT_MODEL, domain_of, model_path
from drivecoach.cli.options import AsJson, Host
from drivecoach.domain import changes
from drivecoach.domain.node import text_of
from drivecoach.domains.load import load_domain
from drivecoach.errors import DataError, DrivecoachError
from drivecoach.files import check_outputs, write_text

if TYPE_CHECKING:
    from drivecoach.domain import AnyDomain, RuleTable
    from drivecoach.infer import Outcome

DomainName = Annotated[
    str | None, typer.Option("--domain", help="A name, or schema.py:domain (default: the model's own, or driving).")
]


def explain(
    line: Annotated[str, typer.Argument(help="An input: key:value; key:value …, or a JSON object.")],
    model: Annotated[
        str | None, typer.Option("--model", help=f"What to ask beside the rules (default: {DEFAULT_MODEL}).")
    ] = None,
    host: Host = None,
    domain: DomainName = None,
    as_json: AsJson = False,
) -> None:
    """Say by which rule an input gets its answer, what decided, and what the model says beside it."""
    knowledge, outcome, note = _ask(line, model, host, domain)
    value = knowledge.read_input(line)
    right = knowledge.teach(value)
    if right is None:
        raise DataError(
            f"the domain {knowledge.name} has no rules that answer this, so that there is nothing to explain",
            hint="a domain's own rules are its methods teach and explain; ask the model alone: drivecoach ask",
        )
    told = _told(knowledge, value, right, outcome)
    if as_json:
        show.as_json(told)
    else:
        _print(knowledge, told)
    if note:
        show.note(f"{note}")


def rules(
    domain: Annotated[str, typer.Option("--domain", help="A name, or schema.py:domain.")] = "driving",
    html: Annotated[Path | None, typer.Option(help="Write the table as a page to read or print.")] = None,
    xlsx: Annotated[Path | None, typer.Option(help="Write the table as an Excel file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every rule, with how many inputs it answers, what it says and where it comes from."""
    outputs = {name: path for name, path in (("--html", html), ("--xlsx", xlsx)) if path}
    check_outputs(outputs)
    knowledge = load_domain(domain)
    show.stderr.print(f"counting how many inputs each rule of {knowledge.name} answers", markup=False)
    table = knowledge.rules()
    if table is None:
        raise DataError(
            f"the domain {knowledge.name} has no table of rules", hint="a domain lists its rules in its method rules"
        )
    title = f"{knowledge.name}: {len(table.rows)} rules"
    if html:
        write_text(html, _page(title, table))
    if xlsx:
        _sheet(xlsx, table)
    for path in outputs.values():
        show.stderr.print(f"{path}: {len(table.rows)} rules", markup=False)
    if as_json:
        show.as_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif not outputs:
        _print_rules(title, table)


def _ask(
    line: str, model: str | None, host: str | None, domain: str | None
) -> tuple[AnyDomain, Outcome[Any] | None, str]:
    """The domain, what the model says (None without one), and what to note about that."""
    from drivecoach.infer import Engine
    from drivecoach.runtime import open_runtime

    if model is None and (domain is not None or not Path(DEFAULT_MODEL).exists()):
        missing = "" if domain is not None else f": there is no {DEFAULT_MODEL}"
        return load_domain(domain or "driving"), None, f"no model was asked{missing}; name one by --model"
    try:
        with open_runtime(model_path(model or DEFAULT_MODEL), host=host) as runtime:
            knowledge = domain_of(runtime.metadata, model or DEFAULT_MODEL, domain, constrain=False)
            knowledge.read_input(line)  # a bad line is an error message, before a model is loaded
            return knowledge, Engine(runtime.generate, knowledge).ask(line), ""
    except DrivecoachError as error:
        if model is not None:
            raise
        return load_domain("driving"), None, f"no model was asked: {error.message}"


def _told(domain: AnyDomain, value: Any, right: Any, outcome: Outcome[Any] | None) -> dict[str, Any]:
    why = domain.explain(value)
    found = list(changes(domain, value))
    changed = {change.field for change in found}
    said = None
    if outcome is not None:
        parts = domain.compare(right, outcome.answer)
        said = {**outcome.to_json(domain), "differs in": [name for name, same in parts.items() if not same]}
    return {
        "input": domain.write_input(value),
        "answer": domain.answer.dump(right),
        "rule": why.rule if why else None,
        "reason": why.reason if why else None,
        "source": why.source if why else None,
        **({"read by the rule": dict(why.read), **why.more} if why else {}),
        "one change alone": [
            {
                "field": change.field,
                "values": change.values,
                "rule": change.rule,
                "answer": domain.answer.dump(change.answer),
            }
            for change in found
        ],
        "no change alone": [
            name
            for name, node in domain.input.node.fields.items()
            if node.kind == "closed" and len(node.values) > 1 and name not in changed
        ],
        "model": said,
    }


def _print(domain: AnyDomain, told: Mapping[str, Any]) -> None:
    rows: dict[str, object] = {"rule": told["rule"] or f"none: the domain {domain.name} does not name its rules"}
    rows["answer"] = _flat(told["answer"])
    skipped = ("input", "answer", "rule", "one change alone", "no change alone", "model")
    for name, value in told.items():
        if name not in skipped and value:
            rows[name] = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, dict) else value
    if (said := told["model"]) is not None:
        rows["the model says"] = "the same" if said["status"] == "valid" and not said["differs in"] else _model(said)
    show.stdout.print(str(told["input"]), markup=False)  # whole, so that it can be copied
    show.table("what the rules say", rows)
    if told["one change alone"]:
        table = Table(title="one change alone that changes the answer", title_justify="left")
        for name in ("field", "value", "rule", "answer"):
            table.add_column(name, overflow="fold")
        for change in told["one change alone"]:
            cells = (change["field"], ", ".join(change["values"]), change["rule"], _flat(change["answer"]))
            table.add_row(*map(Text, cells))
        show.stdout.print(table, soft_wrap=False)
    if told["no change alone"]:
        names = ", ".join(told["no change alone"])
        show.stdout.print(f"no other value changes the answer, all else as it is: {names}", markup=False)


def _model(said: Mapping[str, Any]) -> str:
    differs = ", ".join(name for name in said["differs in"] if name != "answer")
    answer = "" if said["answer"] is None else _flat(said["answer"])
    beside = [f"differs in {differs}"] if differs and answer else []
    beside += [f"{said['status']}: {said['reason']}"] if said["status"] != "valid" else []
    return answer + (f" ({'; '.join(beside)})" if beside else "")


def _flat(answer: Any) -> str:
    """An answer on one line, without its keys."""
    if not isinstance(answer, dict):
        return text_of(answer)
    parts = answer.values()
    return " | ".join("；".join(map(text_of, part)) if isinstance(part, list) else text_of(part) for part in parts)


def _print_rules(title: str, table: RuleTable) -> None:
    shown = Table(title=Text(title), title_justify="left", caption=Text(table.note), caption_justify="left")
    places = [table.columns.index(name) for name in table.brief]
    for place in places:
        number = isinstance(table.rows[0][place], int)
        shown.add_column(Text(table.columns[place]), justify="right" if number else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(_cell(row[place])) for place in places))
    show.stdout.print(shown, soft_wrap=False)


def _cell(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _page(title: str, table: RuleTable) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("drivecoach.cli"), autoescape=True)
    return environment.get_template("rules.html.jinja").render(title=title, table=table) + "\n"


def _sheet(path: Path, table: RuleTable) -> None:
    from drivecoach.data.sheet import Heading, width_of, write_sheet

    columns = zip(table.columns, zip(*table.rows, strict=True), strict=True)
    headings = [Heading(name, width_of(name, *map(_cell, cells)), wrapped=True) for name, cells in columns]
    write_sheet(path, "rules", headings, table.rows)
