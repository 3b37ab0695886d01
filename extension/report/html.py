"""The triage as one HTML file that asks for nothing: no script, no address, its style in itself and named by hash."""

from __future__ import annotations

import base64
import functools
import hashlib
import pkgutil
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Undefined
from markupsafe import Markup

from extension.report.drawing import RIGHT, WIDTH
from extension.report.facts import Facts
from extension.report.view import view
from extension.report.words import MARKS
from extension.triage import Triage
from tables.schema import clean_text

_TEMPLATES = ("report.html", "finding.html", "process.html", "timeline.html")


def render(triage: Triage, facts: Facts, language: str) -> str:
    """The page, `language` being en or zh."""
    style = _resource("report.css")
    return (
        _environment()
        .get_template("report.html")
        .render(
            view=view(triage, facts, language),
            style=Markup(style),  # noqa: S704  # ours
            style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            marks=MARKS,
            width=WIDTH,
            right=RIGHT,
        )
    )


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader({name: _resource(name) for name in _TEMPLATES}),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _clean(value: Any) -> Any:
    """What is printed, without what steers a reader: it goes for every value, as escaping does, forgotten by nobody."""
    return value if isinstance(value, (Markup, Undefined)) else clean_text(str(value))


def _resource(name: str) -> str:
    # Through the import system: in minehunt.ext there is no file to open.
    data = pkgutil.get_data(__package__, name)
    if data is None:
        raise FileNotFoundError(name)
    return data.decode("utf-8")
