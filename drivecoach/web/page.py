"""A page as an answer: a package's template in the frame that all pages share, with what its scripts read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from drivecoach import __version__
from drivecoach.text import whole
from drivecoach.web.safety import SAFETY


class Pages:
    """The templates of one package (its folder ``templates``); each extends ``frame.html.jinja``."""

    def __init__(self, package: str) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("drivecoach.web")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def answer(
        self, template: str, data: Mapping[str, Any] | None = None, status: int = 200, **shown: Any
    ) -> HTMLResponse:
        """The page; ``data`` is what ``data()`` of ``dom.js`` gives its scripts. Texts become text, never HTML."""
        html = self._environment.get_template(template).render(data=data or {}, version=__version__, **shown)
        return HTMLResponse(whole(html), status, headers={**SAFETY, "cache-control": "no-store"})
