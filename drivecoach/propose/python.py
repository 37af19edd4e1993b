"""Writing proposed models as the Python file that a person goes on with: schema.py."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel

from drivecoach.propose.fields import Proposed, ProposedField
from drivecoach.propose.layout import COLUMNS, Code, Group, laid_out, quoted, width

_IMPORTED = {"Annotated", "BaseModel", "ConfigDict", "Domain", "Field", "Literal"}
_WIDEST_NAME = 40
_UNFIT = {"l", "O", "I", "bool", "float", "int", "list", "str", *_IMPORTED}
"""Names that linters refuse, and those that the annotations of a model need."""


@dataclass(frozen=True)
class ProposedSide:
    """One side of a domain: its model, or None for free text; and what that rests on, in words."""

    model: Proposed | None
    evidence: str


@dataclass(frozen=True)
class Schema:
    """What schema.py is, and how it names its two sides."""

    text: str
    input: str
    answer: str


@dataclass
class _Classes:
    """The classes of one file, in the order in which they must stand."""

    taken: set[str]
    written: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """What must be imported."""

    def add(self, wish: str, doc: str, model: Proposed) -> str:
        """Write the class of ``model`` and those it is made of; returns its name."""
        name = self._free(wish)
        names = field_names([part.key for part in model.fields])
        lines = [f"class {name}(BaseModel):", f'    """{doc}"""']
        self.used.add("BaseModel")
        if any(names[part.key] != part.key for part in model.fields):
            self.used.add("ConfigDict")
            lines += ["", "    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)"]
        if model.fields:
            lines.append("")
        for part in model.fields:
            lines.append(self._field(names[part.key], part))
        self.written.append("\n".join(lines))
        return name

    def _field(self, name: str, part: ProposedField) -> str:
        annotation = self._type(part.type, name)
        if part.optional:
            annotation = _or_none(annotation)
        named = [_join("alias=", quoted(part.key))] if name != part.key else []
        arguments: list[Code] = [*(["None"] if part.optional else []), *_limits(part.type), *named]
        default: Code = Group("Field(", tuple(arguments), ")")
        codes: list[tuple[str, Code]] = [("", annotation)]
        if arguments == ["None"]:
            codes.append((" = ", "None"))
        elif arguments:
            self.used.add("Field")
            codes.append((" = ", default))
        code = laid_out(f"{name}: ", codes, 4)
        comment = f"# {part.evidence}"
        if "\n" not in code and width(code) + 2 + width(comment) <= COLUMNS:
            return f"{code}  {comment}"
        return f"    {comment}\n{code}"

    def _type(self, proposed: Proposed, name: str) -> Code:
        if proposed.kind == "closed":
            self.used.add("Literal")
            values = (quoted(value) if isinstance(value, str) else repr(value) for value in proposed.values)
            return Group("Literal[", tuple(values), "]")
        if proposed.kind == "model":
            return self.add(_class_name(name), f"What stands under {name}.", proposed)
        if proposed.items is not None:
            inner = self._type(proposed.items, name)
            inner = _or_none(inner) if proposed.items.nullable else inner
            if limits := _limits(proposed.items):
                self.used |= {"Annotated", "Field"}
                inner = Group("Annotated[", (inner, Group("Field(", tuple(limits), ")")), "]")
            return Group("list[", (inner,), "]")
        return "str" if proposed.kind == "text" else proposed.kind

    def _free(self, wish: str) -> str:
        name, number = wish, 1
        while name in self.taken:
            number += 1
            name = f"{wish}{number}"
        self.taken.add(name)
        return name


def write_python(name: str, system: str, input: ProposedSide, answer: ProposedSide, rows: int) -> Schema:
    """The schema.py for a domain called ``name``; it passes linters at 120 columns, and type checkers."""
    classes = _Classes({*_IMPORTED, *dir(builtins), *_names_of_fields(input.model), *_names_of_fields(answer.model)})
    given, returned = "str", "str"
    stem = _class_name(name)
    if input.model is not None:
        given = classes.add(f"{stem}Input", "What goes in.", input.model)
    if answer.model is not None:
        returned = classes.add(f"{stem}Answer", "What comes out.", answer.model)
    body = "\n\n\n".join(classes.written)
    arguments: list[Code] = [quoted(name), given, returned, quoted(system)]
    domain = laid_out("domain = ", [("", Group("Domain(", tuple(arguments), ")"))], 0)
    comments = [f"# Inputs: {input.evidence}.", f"# Answers: {answer.evidence}."]
    head = (
        f'"""What goes in and what comes out of {name}, proposed from {rows:,} rows; go on from here.\n\n'
        "The comments say what each field rests on. Widen ranges and closed sets where the rows do not show all that "
        'may come.\n"""\n'
    )
    text = "\n".join([head, _imports(classes.used), *(["", body, "", ""] if body else [""]), *comments, domain, ""])
    return Schema(text, given, returned)


def field_names(keys: list[str]) -> dict[str, str]:
    """Key to the name of its field: itself where Python and Pydantic can take it, else a safe one; no name twice."""
    names = {key: key for key in keys if _is_fit(key)}
    for key in keys:
        if key not in names:
            wish, number = _safe(key), 1
            name = wish
            while name in names.values():
                number += 1
                name = f"{wish}_{number}"
            names[key] = name
    return names


def _is_fit(key: str) -> bool:
    return (
        key.isidentifier()
        and unicodedata.normalize("NFKC", key) == key  # Python reads identifiers so
        and width(key) <= _WIDEST_NAME
        and not key.startswith(("_", "model_"))
        and not keyword.iskeyword(key)
        and not hasattr(BaseModel, key)
        and key not in _UNFIT
    )


def _safe(key: str) -> str:
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", key))[: _WIDEST_NAME // 2].strip("_")
    for wish in (name, f"{name}_", f"field_{name}"):
        if wish != key and _is_fit(wish):
            return wish
    return "field"


def _names_of_fields(model: Proposed | None) -> Iterator[str]:
    if model is not None:
        yield from field_names([part.key for part in model.fields]).values()
        for part in model.fields:
            yield from _names_of_fields(part.type)
        yield from _names_of_fields(model.items)


def _class_name(name: str) -> str:
    wish = "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", name) if part)
    return wish if wish.isidentifier() and not keyword.iskeyword(wish) and wish not in _UNFIT else f"Model{wish}"


def _limits(proposed: Proposed) -> list[Code]:
    if proposed.kind in ("text", "list"):
        return [f"max_length={proposed.most}"]
    return [f"ge={proposed.low!r}", f"le={proposed.high!r}"] if proposed.low is not None else []


def _or_none(code: Code) -> Code:
    return f"{code} | None" if isinstance(code, str) else Group(code.open, code.parts, f"{code.close} | None")


def _join(before: str, code: Code) -> Code:
    if isinstance(code, str):
        return before + code
    return Group(before + code.open, code.parts, code.close, code.comma)


def _imports(used: set[str]) -> str:
    typing = sorted(used & {"Annotated", "Literal"})
    pydantic = sorted(used & {"BaseModel", "ConfigDict", "Field"})
    groups = [f"from typing import {', '.join(typing)}\n"] if typing else []
    groups.append("from drivecoach.domain import Domain")
    if pydantic:
        groups.append(f"from pydantic import {', '.join(pydantic)}")
    return "\n".join(groups) + "\n"
