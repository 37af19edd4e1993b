"""Imports go one way: a package imports those above it in the order below, and no two modules import each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import drivecoach

ROOT = Path(drivecoach.__file__).parent

ORDER = (
    "errors",
    "text",
    "quiet",
    "progress",
    "files",
    "lock",
    "stage",
    "registry",
    "domain",
    "domains",
    "config",
    "chat",
    "data",
    "native",
    "gguf",
    "runtime",
    "infer",
    "batch",
    "live",
    "evaluate",
    "verify",
    "train",
    "export",
    "propose",
    "coach",
    "web",
    "serve",
    "provenance",
    "folder",
    "stale",
    "pipeline",
    "resume",
    "refine",
    "report",
    "listing",
    "doctor",
    "generated",
    "studio",
    "cli",
    "testing",
    "__main__",
)
"""Each may import those before it."""


def modules() -> dict[str, Path]:
    """Every module by its dotted name without the leading ``drivecoach.``; a package is its ``__init__``."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str) -> set[str]:
    """The modules of drivecoach that a module imports when it runs, inside its functions too."""
    nodes = _run_nodes(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    return {_module(target) for node in nodes for target in _targets(node, name)}


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _run_nodes(node)


def _targets(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{name}: imports are absolute"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return
    yield from (target.removeprefix("drivecoach.") for target in names if target.startswith("drivecoach."))


def _module(target: str) -> str:
    """The module that ``package.module.attribute`` stands in."""
    while target not in MODULES:
        target = target.rpartition(".")[0]
    return target


def test_every_package_has_its_place_in_the_order() -> None:
    assert {name.partition(".")[0] for name in MODULES} - {""} == set(ORDER)


def test_the_page_on_architecture_shows_this_order() -> None:
    page = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert shown == [name for name in ORDER if name != "__main__"]


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {""}))
def test_a_module_imports_only_what_stands_above_it(name: str) -> None:
    own = name.partition(".")[0]
    allowed = {"", *ORDER[: ORDER.index(own) + 1]}  # "" holds the version and what `import drivecoach` offers
    assert {target for target in imported(name) if target.partition(".")[0] not in allowed} == set()


def test_no_two_modules_import_each_other_not_even_by_way_of_others() -> None:
    """A package's ``__init__`` stands for what it offers, so that a module must not go through its own package."""
    order = TopologicalSorter({name: imported(name) - {""} for name in MODULES if name})
    order.prepare()


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not() -> None:
    assert "train.trainer" in imported("pipeline"), "inside Run.train"
    assert "pipeline" in imported("cli.runs") and "train.result" not in imported("cli.runs")


def test_what_is_looked_up_by_name_is_no_way_around_the_order() -> None:
    """A registry, and the table of verbs, name modules of their own package alone; nobody else imports by a text."""
    by_text = {name for name, path in MODULES.items() if "import_module(" in path.read_text("utf-8")}
    assert by_text == {"registry", "cli.app"}
    from drivecoach.cli.app import VERBS
    from drivecoach.domains.load import DOMAINS
    from drivecoach.runtime.base import RUNTIMES
    from drivecoach.train.backend import BACKENDS

    assert {f"cli.{place.partition(':')[0]}" for place in VERBS.values()} <= set(MODULES)
    for package, registry in {"domains": DOMAINS, "runtime": RUNTIMES, "train": BACKENDS}.items():
        places = {place.partition(":")[0].removeprefix("drivecoach.") for place in registry._shipped.values()}
        assert places <= {name for name in MODULES if name.startswith(f"{package}.")}
