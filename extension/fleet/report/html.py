"""The fleet report as one HTML file (extension/report/page.py)."""

from __future__ import annotations

from extension.fleet.report.called import called
from extension.fleet.report.curve import HEIGHT, WIDTH, curve
from extension.fleet.report.cut import left_out
from extension.fleet.report.document import Document
from extension.fleet.report.times import silence, when
from extension.fleet.report.words import rare_kind, words
from extension.report.page import rendered
from extension.report.values import shown
from extension.triage import iso_time

# More than these make a page that no browser likes; the JSON has them all.
INCIDENTS, ROWS = 1000, 200


def render(document: Document, language: str) -> str:
    """The page, `language` being en or zh."""
    texts, names = words(language), called(document)
    values = {
        "d": document, "w": texts, "curve": curve, "width": WIDTH, "height": HEIGHT, "rows": ROWS, "most_incidents": INCIDENTS,
        "shown": lambda value: shown(value, texts["characters"]), "when": when, "day": _day,
        "name": lambda key: shown(names[key], texts["characters"]), "kind": lambda kind: rare_kind(kind, language),
        "silence": silence(document, texts), "left_out": left_out,
    }  # fmt: skip
    return rendered(((__package__, "fleet.html"),), language, values, ((__package__, "fleet.css"),))


def _day(seconds: int) -> str:
    return iso_time(seconds)[:16].replace("T", " ")
