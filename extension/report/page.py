"""The HTML page of every report: one file that asks for nothing: no script, no address, its style in itself and named by hash."""

from __future__ import annotations

import base64
import functools
import hashlib
import pkgutil
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Undefined
from markupsafe import Markup

from tables.schema import clean_text

# A file, and the package that it is in.
Resource = tuple[str, str]
_PAGE, _STYLE = (__package__, "page.html"), (__package__, "report.css")


def rendered(templates: tuple[Resource, ...], language: str, values: dict[str, Any], styles: tuple[Resource, ...] = ()) -> str:
    """The page that the first of the templates extends with these values; `styles` add to the reports' own."""
    style = "".join(_resource(*one) for one in (_STYLE, *styles))
    return (
        _environment(templates)
        .get_template(templates[0][1])
        .render(
            values,
            language=language,
            style=Markup(style),  # noqa: S704  # ours
            style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        )
    )


@functools.cache
def _environment(templates: tuple[Resource, ...]) -> Environment:
    return Environment(
        loader=DictLoader({name: _resource(package, name) for package, name in (_PAGE, *templates)}),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _clean(value: Any) -> Any:
    """What is printed, without what steers a reader: it goes for every value, as escaping does, forgotten by nobody."""
    return value if isinstance(value, (Markup, Undefined)) else clean_text(str(value))


def _resource(package: str, name: str) -> str:
    # Through the import system: in minehunt.ext there is no file to open.
    data = pkgutil.get_data(package, name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")
