"""Which domain is meant: a name, a Python file of one's own, or two JSON Schemas without any Python."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel, ConfigDict, JsonValue

from drivecoach.domain import AnyDomain, Domain, SchemaForm
from drivecoach.domain.form import Form, TextForm
from drivecoach.errors import DrivecoachError, Fault, RecipeError, first_line
from drivecoach.registry import Registry

DOMAINS: Registry[AnyDomain] = Registry(
    "domain",
    {"driving": "drivecoach.domains.driving:DRIVING", "text": "drivecoach.domains.text:TEXT"},
    lambda found: isinstance(found, Domain),
)
_FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<attribute>[^:/\\]+))?")


class SchemaFiles(BaseModel):
    """A domain by two JSON Schemas: the files that say what goes in and what comes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str
    answer: str


Reference = str | SchemaFiles
"""A name (``driving``), a file (``schema.py:domain``), or two files of JSON Schema."""


def load_domain(reference: Reference) -> AnyDomain:
    """The domain that ``reference`` names; file names are relative to the current folder.

    ``schema.py`` alone takes the one domain of that file; ``state.schema.json,contract.schema.json`` are two schemas.
    Raises RecipeError for an unknown name, and for a file that cannot be imported or defines no domain, or several.
    """
    if isinstance(reference, SchemaFiles):
        return _from_schemas(Path(reference.input), Path(reference.answer))
    if (file := _FILE.fullmatch(reference)) is not None:
        return _from_file(Path(file["path"]), file["attribute"])
    both = reference.split(",")
    if len(both) == 2 and all(name.endswith(".json") for name in both):
        return _from_schemas(Path(both[0]), Path(both[1]))
    return DOMAINS.load(reference)


def files_of(reference: Reference) -> list[Path]:
    """The files that a reference names; empty for a name."""
    if isinstance(reference, SchemaFiles):
        return [Path(reference.input), Path(reference.answer)]
    file = _FILE.fullmatch(reference)
    return [Path(file["path"])] if file else []


def placed(reference: Reference, folder: Path) -> Reference:
    """The same reference with its file names taken relative to ``folder``, made absolute."""
    if isinstance(reference, SchemaFiles):
        return SchemaFiles(
            input=str((folder / reference.input).resolve()), answer=str((folder / reference.answer).resolve())
        )
    if (file := _FILE.fullmatch(reference)) is not None:
        attribute = f":{file['attribute']}" if file["attribute"] else ""
        return str((folder / file["path"]).resolve()) + attribute
    return reference


def identity(reference: Reference, domain: AnyDomain) -> dict[str, str]:
    """What tells one state of a domain from another; of a file also its bytes, since they hold the invariants."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(reference)}
    return {**domain.identity(), **digests}


_modules: dict[Path, tuple[str, ModuleType]] = {}
"""The files imported so far, with the digest of what was imported: one file gives one domain."""


def _from_file(path: Path, attribute: str | None) -> AnyDomain:
    module = _import(path)
    domains = {name: value for name, value in vars(module).items() if isinstance(value, Domain)}
    own = {name: value for name, value in domains.items() if not _is_imported(name, module)} or domains
    listed = ", ".join(f"{path}:{name}" for name in own)
    if attribute is not None:
        if attribute in domains:
            return domains[attribute]
        what = "is no domain" if hasattr(module, attribute) else "is not there"
        hint = f"choose: {listed}" if own else _define(path)
        raise RecipeError(f"{path}:{attribute} {what}", hint=hint)
    if len(own) == 1:
        return next(iter(own.values()))
    if not own:
        raise RecipeError(f"{path} defines no domain", hint=_define(path))
    raise RecipeError(f"{path} defines {len(own)} domains", hint=f"choose one of: {listed}")


def _define(path: Path) -> str:
    return f"write in it: domain = Domain({path.stem!r}, Input, Answer, 'system message') with two Pydantic models"


def _is_imported(name: str, module: ModuleType) -> bool:
    """Whether a shipped domain was only imported by the file, to be extended there."""
    shipped = sys.modules.get("drivecoach.domains.driving")
    return shipped is not None and getattr(shipped, name, None) is vars(module)[name]


def _import(path: Path) -> ModuleType:
    try:
        path = path.resolve()
        source = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"no domain file at {path}: {error.strerror}", hint="check domain: in the recipe") from None
    digest = hashlib.sha256(source).hexdigest()
    if path in _modules and _modules[path][0] == digest:
        return _modules[path][1]
    name = f"drivecoach_domain_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Pydantic looks a model's annotations up there
    sys.path.insert(0, str(path.parent))  # a domain may be split over files beside it
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102  # the user's own file, named by the user
    except DrivecoachError as error:
        del sys.modules[name]
        raise RecipeError(f"{path}: {error.message}", hint=error.hint, faults=error.faults) from error
    except (Exception, SystemExit) as error:  # a file that ends itself must not end who imports it
        del sys.modules[name]
        raise RecipeError(
            f"{path} does not import: {type(error).__name__}: {first_line(error)}",
            faults=[Fault(f"line {_line(error, path)}", type(error).__name__, "Python that can be imported")],
            hint=f"correct it until this works: python {path.name}",
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    _modules[path] = (digest, module)
    return module


def _line(error: BaseException, path: Path) -> int | str:
    if isinstance(error, SyntaxError):
        return error.lineno or "?"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines and lines[-1] is not None else "?"


def _from_schemas(given: Path, answer: Path) -> AnyDomain:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", answer.name.removesuffix(".json").removesuffix(".schema")).lstrip("._-")
    return Domain(name[:64] or "schema", _schema(given), _schema(answer))


def _schema(path: Path) -> Form[JsonValue]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"cannot read the JSON Schema {path}: {first_line(error)}", hint="name a JSON file") from None
    if not isinstance(schema, dict):
        raise RecipeError(f"{path} is no JSON Schema", hint="it is one JSON object")
    return schema_form(schema, path.name)


def schema_form(schema: dict[str, JsonValue], title: str) -> Form[JsonValue]:
    """The form of a JSON Schema; a schema of any text is plain text."""
    is_text = schema.get("type") == "string" and not schema.keys() - {"type", "title", "description"}
    return TextForm() if is_text else SchemaForm(schema, title)  # type: ignore[return-value]  # str is a JsonValue
