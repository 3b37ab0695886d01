"""`minehunt explain`: what a query looks for or a table sees, in a page for whoever reads an alert."""

from __future__ import annotations

import difflib
import textwrap
from pathlib import Path
from typing import Any, Optional

import click

import tables
from extension.command_line import CannotRunError, language_option, open_pack, pack_option
from extension.pack.model import Pack, Query, Step
from extension.report.words import words as report_words
from tables.schema import Table

_WIDTH = 100
_WORDS = {
    "en": {
        "why": "What it finds", "fp": "May be innocent", "do": "What to do", "sql": "SQL", "used": "Queries over it",
        "step": "Step",
        "every": "every {} s", "columns": "Columns", "examples": "Examples", "notes": "Notes", "stage": "in the chain: {}",
    },
    "zh": {
        "why": "检测内容", "fp": "可能的误报", "do": "处置步骤", "sql": "SQL", "used": "使用它的查询", "step": "步骤",
        "every": "每 {} 秒", "columns": "列", "examples": "示例", "notes": "说明", "stage": "攻击链阶段：{}",
    },
}  # fmt: skip


def complete_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The names of queries and tables that begin so, for the shell."""
    from extension.pack.model import load_pack, shipped_pack

    names = [query.name for query in load_pack(shipped_pack()).queries()] + list(tables.discover())
    return sorted(name for name in names if name.startswith(incomplete))


@click.command()
@click.argument("name", metavar="QUERY|TABLE", shell_complete=complete_names)
@language_option
@pack_option
def explain(name: str, lang: str, folder: Optional[Path]) -> None:
    """Say what a query looks for, why that matters, what is innocent, what to do, and its SQL; or what a table sees."""
    pack = open_pack(folder)
    found = tables.discover()
    for step in pack.steps:
        for query in step.queries:
            if query.name == name:
                click.echo(_query(step, query, lang))
                return
    if name in found:
        click.echo(_table(found[name], pack, lang))
        return
    near = difflib.get_close_matches(name, {*(query.name for query in pack.queries()), *found}, 3)
    raise CannotRunError(f"no query or table {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))


def _query(step: Step, query: Query, lang: str) -> str:
    words, phases = _WORDS[lang], report_words(lang)
    facts = [query.severity, query.kind, words["every"].format(query.interval), *query.attack]
    if query.stage:
        facts.append(words["stage"].format(query.stage))
    lines = [
        f"{query.title.get(lang)} ({query.name})",
        f"{words['step']} {step.step}: {step.title.get(lang)}",
        "  ".join(facts),
        *_part(words["why"], [query.description.get(lang)]),
        *_part(words["fp"], [text.get(lang) for text in query.false_positives]),
        *_part(words["do"], [f"{phases[one.phase].lower()}: {one.shown(lang)}" for one in query.response]),
        "",
        words["sql"],
        textwrap.indent(query.sql.strip(), "  "),
    ]
    return "\n".join(lines)


def _table(table: Table, pack: Pack, lang: str) -> str:
    words = _WORDS[lang]
    used = [query.name for query in pack.queries() if table.name in query.tables]
    lines = [f"{table.name}: {table.description}", *_part(words["notes"], table.notes.split("\n\n"))]
    columns: list[Any] = list(table.columns)
    lines += ["", words["columns"], *(f"  {column.name:<22} {column.type:<8} {column.description}" for column in columns)]
    lines += _part(words["used"], [", ".join(used)] if used else [])
    return "\n".join((*lines, *_part(words["examples"], table.examples)))


def _part(title: str, texts: Any) -> list[str]:
    if not texts:
        return []
    wrapped = [
        textwrap.fill(" ".join(text.split()), _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
        for text in texts
    ]
    return ["", title, *wrapped]
