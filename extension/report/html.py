"""The triage as one HTML file (page.py)."""

from __future__ import annotations

from extension.report.drawing import RIGHT, WIDTH
from extension.report.facts import Facts
from extension.report.page import rendered
from extension.report.view import view
from extension.report.words import MARKS
from extension.triage import Triage

_TEMPLATES = tuple((__package__, name) for name in ("report.html", "finding.html", "process.html", "timeline.html"))


def render(triage: Triage, facts: Facts, language: str) -> str:
    """The page, `language` being en or zh."""
    values = {"view": view(triage, facts, language), "marks": MARKS, "width": WIDTH, "right": RIGHT}
    return rendered(_TEMPLATES, language, values)
