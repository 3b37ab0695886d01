"""The fleet report as one HTML file that asks for nothing: no script, no address, its style in itself and named by hash."""

from __future__ import annotations

import base64
import functools
import hashlib
import pkgutil
from typing import Any

from jinja2 import Environment, StrictUndefined, Undefined
from markupsafe import Markup

from extension.fleet.report.curve import HEIGHT, WIDTH, curve
from extension.fleet.report.document import Document
from extension.fleet.report.times import when
from extension.fleet.report.words import words
from extension.report.values import shown
from extension.triage import iso_time
from tables.schema import clean_text

# More than these make a page that no browser likes; the JSON has them all.
INCIDENTS, ROWS = 1000, 200


def render(document: Document, language: str) -> str:
    """The page, `language` being en or zh."""
    texts = words(language)
    style = _resource("extension.report", "report.css") + _resource(__package__, "fleet.css")
    return _environment().from_string(_resource(__package__, "fleet.html")).render(
        d=document, w=texts, language=language, curve=curve, width=WIDTH, height=HEIGHT, rows=ROWS, most_incidents=INCIDENTS,
        shown=lambda value: shown(value, texts["characters"]), when=when, day=_day,
        style=Markup(style),  # noqa: S704  # ours
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )  # fmt: skip


def _day(seconds: int) -> str:
    return iso_time(seconds)[:16].replace("T", " ")


@functools.cache
def _environment() -> Environment:
    return Environment(autoescape=True, finalize=_clean, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _clean(value: Any) -> Any:
    return value if isinstance(value, (Markup, Undefined)) else clean_text(str(value))


def _resource(package: str, name: str) -> str:
    data = pkgutil.get_data(package, name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")
