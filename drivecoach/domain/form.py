"""How one side of a domain, input or answer, is held: as a Pydantic model, as plain text, or by a JSON Schema alone."""

from __future__ import annotations

import json
import re
import types
import unicodedata
from collections.abc import Mapping
from typing import Any, Generic, Literal, Protocol, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from drivecoach.domain.node import JsonObject, Node, read_node, resolved, unwritable
from drivecoach.errors import Fault, InputError, RecipeError, first_line
from drivecoach.text import shown

T = TypeVar("T")
T_co = TypeVar("T_co")


class Form(Protocol[T]):
    """One side of a domain: JSON values in, checked values out, and back."""

    title: str
    """How messages call it."""
    schema: JsonObject
    """JSON Schema without references, for apps and constrained decoding."""
    node: Node
    """The same as a tree."""

    def parse(self, value: JsonValue) -> T:
        """The checked value; raises InputError with every fault."""

    def dump(self, value: T) -> JsonValue:
        """The one JSON value of a checked value, keys in canonical order."""

    def rename(self, record: Mapping[str, JsonValue]) -> JsonObject:
        """A record whose keys may be the fields' other names, by canonical keys."""


class TextForm:
    """Free text in its canonical form: NFC, no white space around it, not empty."""

    title = "text"

    def __init__(self) -> None:
        self.schema: JsonObject = {"type": "string"}
        self.node = Node("text")

    def parse(self, value: JsonValue) -> str:
        """The canonical text; raises InputError when nothing is left of it."""
        text = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
        if not text:
            raise InputError("the text is empty" if isinstance(value, str) else "no text", hint="give some text")
        return text

    def dump(self, value: str) -> JsonValue:
        """The text itself."""
        return value

    def rename(self, record: Mapping[str, JsonValue]) -> JsonObject:
        """Text has no keys."""
        return dict(record)


class ModelForm(Generic[T]):
    """A Pydantic model. Raises RecipeError for a model that has no one canonical text, naming its fields."""

    def __init__(self, model: type[T]) -> None:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise RecipeError(
                f"{getattr(model, '__name__', model)!r} is neither a Pydantic model nor str",
                hint="give Domain(name, Input, Answer) two subclasses of pydantic.BaseModel",
            )
        self.model = model
        self.title = model.__name__
        try:
            raw = model.model_json_schema(by_alias=True)
        except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError) as error:
            raise _unwritable(self.title, [Fault("model", first_line(error), "types that JSON has")]) from None
        self.schema, faults = resolved(cast(JsonObject, raw), closed=True)
        self.node = read_node(self.schema)
        faults = faults or [*unwritable(self.node), *_sets(model)]
        if faults:
            raise _unwritable(self.title, faults)
        self.names = _keys(model)
        """Field name to the key it has in JSON."""

    def parse(self, value: JsonValue) -> T:
        """The model, read strictly: a number is no text, and unknown keys are faults whatever the model says."""
        faults = _unknown_keys(self.node, value)
        try:
            text = json.dumps(value)
            made = self.model.model_validate_json(text, strict=True, by_alias=True, by_name=False)  # type: ignore[attr-defined]
        except ValidationError as error:
            faults += _half_characters(value)
            told = {fault.where for fault in faults}
            details = [detail for detail in error.errors(include_url=False) if detail["type"] != "json_invalid"]
            faults += [fault for fault in map(self._fault, details) if fault.where not in told]
        except RecursionError:
            faults.append(Fault(self.title, "nested too deep", self.node.allowed))
        if faults:
            raise _refused(self.title, self.node, value, faults)
        return cast(T, made)

    def dump(self, value: T) -> JsonValue:
        """JSON by alias in the order of the fields; what is None by default is left out."""
        return _present(self.node, cast(BaseModel, value).model_dump(mode="json", by_alias=True))

    def rename(self, record: Mapping[str, JsonValue]) -> JsonObject:
        """Keys by field name become keys by alias."""
        return {self.names.get(key, key): value for key, value in record.items()}

    def _fault(self, detail: Any) -> Fault:
        path = [part for part in detail["loc"] if isinstance(part, int | str)]
        where = where_is(path) or self.title
        node = self.node.at(path)
        if detail["type"] == "missing":
            return Fault(where, "missing", node.allowed if node else "a value")
        allowed = node.allowed if node else "a value"
        if detail["type"] in ("value_error", "assertion_error"):
            allowed = str(detail["ctx"]["error"])
        given = detail["input"]
        return Fault(where, shown(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)), allowed)


class SchemaForm:
    """What a JSON Schema alone says (draft 2020-12): values stay plain JSON. Nothing is ever fetched for it."""

    def __init__(self, schema: Mapping[str, JsonValue], title: str) -> None:
        import jsonschema  # here: it takes longer to import than all the rest of a domain
        from referencing import Registry

        self.title = str(schema.get("title", title))
        self.schema, faults = resolved(dict(schema), closed=False)
        if faults:
            raise RecipeError(f"the JSON Schema of {title} cannot be used", faults=faults, hint="correct the schema")
        try:
            jsonschema.Draft202012Validator.check_schema(self.schema)
        except jsonschema.SchemaError as error:
            fault = Fault(where_is(list(error.absolute_path)) or title, shown(str(error.instance)), error.message[:200])
            raise RecipeError(f"{title} is not a JSON Schema", faults=[fault], hint="correct the schema") from None
        self.node = read_node(self.schema)
        self._validator = jsonschema.Draft202012Validator(self.schema, registry=Registry())

    def parse(self, value: JsonValue) -> JsonValue:
        """The value itself, once it follows the schema."""
        faults = []
        for error in sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))):
            path = list(error.absolute_path)
            given, node = error.instance, self.node.at(path)
            if error.validator == "required":  # one error for each missing key, which only its message names
                key = next(key for key in error.validator_value if error.message.startswith(repr(key)))
                inner = self.node.at([*path, key])
                faults.append(Fault(where_is([*path, key]), "missing", inner.allowed if inner else "a value"))
                continue
            if error.validator == "additionalProperties" and node is not None and node.fields:
                unknown = [key for key in given if key not in node.fields]
                allowed = "keys: " + ", ".join(node.fields)
                faults += [Fault(where_is([*path, key]), "unknown key", allowed) for key in unknown]
                continue
            plain = node is not None and error.validator in ("enum", "type", "const") and node.kind != "any"
            allowed = node.allowed if node is not None and plain else error.message[:200]
            text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            faults.append(Fault(where_is(path) or self.title, shown(text), allowed))
        if faults:
            raise _refused(self.title, self.node, value, faults)
        return value

    def dump(self, value: JsonValue) -> JsonValue:
        """The value with the schema's keys in the schema's order, then others by name."""
        return _ordered(self.node, value)

    def rename(self, record: Mapping[str, JsonValue]) -> JsonObject:
        """A schema has no other names."""
        return dict(record)


def form_of(given: type[T] | Form[T]) -> Form[T]:
    """The form of a Pydantic model, of ``str``, or the form that is given itself."""
    if given is str:
        return cast(Form[T], TextForm())
    return ModelForm(given) if isinstance(given, type) else given


def where_is(path: list[int | str]) -> str:
    """A path as messages show it: ``address.lines[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path).removeprefix(".")


def snake_case(name: str) -> str:
    """``VehicleState`` as ``vehicle_state``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _unwritable(title: str, faults: list[Fault]) -> RecipeError:
    return RecipeError(
        f"{title} cannot be written in one canonical way",
        faults=faults,
        hint="use Literal, Enum, bool, int, float, str, list, Optional and models of these; a model in place of a dict",
    )


def _refused(title: str, node: Node, value: JsonValue, faults: list[Fault]) -> InputError:
    """One fault for what is something else altogether, every fault for what is meant to be this."""
    if node.kind == "object" and not (isinstance(value, dict) and node.fields.keys() & value.keys()):
        keys = ", ".join(map(shown, list(value)[:8])) if isinstance(value, dict) else ""
        found = f"keys {keys}" if keys else shown(str(value))
        faults = [Fault(title, f"something else, {found}", node.allowed)]
    return InputError(f"not a valid {title}", hint=f"{title} is {node.allowed}", faults=faults)


def _unknown_keys(node: Node, value: JsonValue, path: tuple[int | str, ...] = ()) -> list[Fault]:
    faults: list[Fault] = []
    if node.kind == "object" and isinstance(value, dict):
        for key, part in value.items():
            inner = node.fields.get(key)
            if inner is None:
                allowed = "keys: " + ", ".join(node.fields)
                faults.append(Fault(where_is([*path, key]), "unknown key", allowed))
            else:
                faults += _unknown_keys(inner, part, (*path, key))
    elif node.kind == "list" and node.items is not None and isinstance(value, list):
        for place, part in enumerate(value):
            faults += _unknown_keys(node.items, part, (*path, place))
    return faults


def _half_characters(value: JsonValue, path: tuple[int | str, ...] = ()) -> list[Fault]:
    """Texts with half a surrogate pair, which JSON may bring and no reader takes."""
    if isinstance(value, str):
        half = any("\ud800" <= character <= "\udfff" for character in value)
        return [Fault(where_is([*path]), ascii(value)[1:-1][:60], "whole characters")] if half else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [fault for key, part in inner for fault in _half_characters(part, (*path, key))]


def _present(node: Node, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if part is not None or not node.fields[name].absent}
        return {name: _present(node.fields[name], part) for name, part in kept.items()}
    if isinstance(value, list) and node.items is not None:
        return [_present(node.items, part) for part in value]
    return value


def _ordered(node: Node, value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        known = [name for name in node.fields if name in value]
        keys = [*known, *sorted(value.keys() - node.fields.keys())]
        return {name: _ordered(node.fields.get(name, Node("any")), value[name]) for name in keys}
    if isinstance(value, list) and node.items is not None:
        return [_ordered(node.items, part) for part in value]
    return value


def _keys(model: type[BaseModel]) -> dict[str, str]:
    """Field name -> the key it has in JSON."""
    keys = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias or info.alias
        keys[name] = alias if isinstance(alias, str) else name
    return keys


def _sets(model: type[BaseModel], path: str = "") -> list[Fault]:
    """Fields that are sets: they have no order to write them in (their JSON Schema looks like a list's)."""
    faults = []
    for name, info in model.model_fields.items():
        where = f"{path}.{name}".lstrip(".")
        for inner in _inside(info.annotation):
            if get_origin(inner) in (set, frozenset) or inner in (set, frozenset):
                faults.append(Fault(where, "a set", "a list: its order is the order that is written"))
            elif isinstance(inner, type) and issubclass(inner, BaseModel):
                faults += _sets(inner, where)
    return faults


def _inside(annotation: Any) -> list[Any]:
    """An annotation and all that it is made of."""
    if get_origin(annotation) is Literal:
        return []
    if get_origin(annotation) in (Union, types.UnionType) or get_args(annotation):
        return [annotation, *(part for inner in get_args(annotation) for part in _inside(inner))]
    return [annotation]
