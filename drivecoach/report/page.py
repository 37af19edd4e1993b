"""Writing a page: one HTML file with its style, scripts and data inside, that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from drivecoach import __version__
from drivecoach.errors import StorageError
from drivecoach.files import write_text
from drivecoach.report.words import milliseconds, percent, size
from drivecoach.text import whole

_MARK = 'content="drivecoach"'


def write(target: Path, html: str) -> None:
    """Write a page. Raises StorageError for a file that is there and is no page of ours."""
    if target.is_file() and _MARK not in _head(target):
        raise StorageError(f"{target} is there, and is no page of drivecoach", hint="name another place: -o")
    write_text(target, html)


def render(template: str, title: str, data: Mapping[str, Any], **shown: Any) -> str:
    """A page; ``data`` is what its script reads. Texts from outside become text, never HTML."""
    scripts = [*([_charts()] if data.get("charts") else []), _part("page.js")]
    html = _environment().get_template(template).render(
        title=title,
        data=data,
        style=_part("style.css"),
        scripts=scripts,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        **shown,
    )
    return whole(html)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("drivecoach.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"milliseconds": milliseconds, "size": size}
    made.globals["percent"] = percent
    return made


def _part(name: str) -> Markup:
    """A file beside the templates, which are our own and need no escaping."""
    return Markup((files("drivecoach.report") / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


@cache
def _charts() -> Markup:
    """Vega, Vega-Lite and the code that draws them, as vl-convert brings them."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return Markup("(() => {%s})()" % bundle.replace("</script", "<\\/script"))  # noqa: S704, UP031


def _head(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(600).decode("utf-8", "replace")
