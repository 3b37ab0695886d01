"""The triage as Markdown: whatever came from the host stands in code, so that it can make no markup, link or HTML."""

from __future__ import annotations

import functools
import pkgutil
import re
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from extension.incidents.steps import Segments
from extension.report.code_spans import BACKTICKS, code_span
from extension.report.facts import Facts
from extension.report.suspects import Process
from extension.report.view import View, view
from extension.triage import Triage
from tables.schema import clean_text

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|~&!]")


class Safe(str):
    """Markdown already, which is not escaped again."""

    __slots__ = ()


def render(triage: Triage, facts: Facts, language: str) -> str:
    """The report in CommonMark with tables, `language` being en or zh."""
    shown = view(triage, facts, language)
    return _template().render(view=shown, tree=block(_tree(shown)))


@functools.cache
def _template() -> Template:
    environment = Environment(  # noqa: S701  # no HTML comes out of it: `finalize` escapes for Markdown
        finalize=_escaped, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(code=code, cell=cell, prose=prose)
    data = pkgutil.get_data(__package__, "report.md")
    assert data is not None
    return environment.from_string(data.decode("utf-8"))


def code(text: str) -> Safe:
    """`text` as a code span, whatever backticks are in it."""
    return Safe(code_span(text))


def cell(text: str) -> Safe:
    r"""A code span for a cell of a table, in which \| is a bar even inside of code."""
    return Safe(code(text).replace("|", r"\|"))


def prose(segments: Segments) -> Safe:
    """A text of the pack, its code as code."""
    return Safe("".join(_escaped(text) if kind == "text" else code(text) for kind, text in segments))


def block(lines: list[str]) -> Safe:
    """Lines as they are, in a fenced block that none of them can close."""
    longest = max((len(run) for line in lines for run in BACKTICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return Safe("\n".join((f"{fence}text", *map(clean_text, lines), fence)))


def _escaped(value: Any) -> str:
    return value if isinstance(value, Safe) else _MARKUP.sub(r"\\\g<0>", clean_text(str(value)))


def _tree(shown: View) -> list[str]:
    lines: list[str] = []

    def draw(process: Process, head: str, body: str) -> None:
        name = shown.shown(process.facts.get("process_name", "")) or "?"
        mark = f"  ▲ {shown.words['suspect']}" if process.findings else ""
        lines.append(f"{head}{name} ({process.pid}){mark}  {shown.shown(process.facts.get('cmdline', ''))}".rstrip())
        about = [f"{shown.words[result.query.severity]}: {result.query.name}" for result in process.findings]
        for (relation, what), note in (*process.sockets.items(), *(process.files.items() if process.findings else ())):
            about.append(f"{shown.words[relation]} {shown.shown(what)}" + (f" ({shown.shown(note)})" if note else ""))
        lines.extend(f"{body}{'│' if process.children else ' '}    {line}" for line in about)
        for child in process.children:
            is_last = child is process.children[-1]
            draw(child, body + ("└─ " if is_last else "├─ "), body + ("   " if is_last else "│  "))

    for root in shown.forest.roots:
        draw(root, "", "")
    return lines
