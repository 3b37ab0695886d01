"""The fleet report as text for a terminal or a file."""

from __future__ import annotations

import io
from typing import IO, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extension.fleet.report.document import Document
from extension.fleet.report.times import over_since, when
from extension.fleet.report.words import words
from extension.report.values import shown

_WIDTH = 120
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_CAMPAIGNS, _LOGINS, _INCIDENTS, _RARE, _NEXT, _SILENT = 20, 20, 20, 20, 20, 40


def render(document: Document, language: str) -> str:
    """The report as plain text."""
    console = Console(file=io.StringIO(), width=_WIDTH, highlight=False)
    write(console, document, language)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def show(document: Document, language: str, stream: IO[str]) -> None:
    """Print the report, with colours where the stream is a terminal."""
    write(Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH), document, language)


def write(console: Console, document: Document, language: str) -> None:
    """Print the report on a console."""
    w = words(language)

    def value(text: str) -> str:
        return shown(text, w["characters"])

    style = "bold red" if document["summary"]["compromised"] else "bold green"
    console.print(Text(document["sentence"][language], style=style))
    for one in document["campaigns"][:_CAMPAIGNS]:
        console.print()
        head = f"{one['name']}  {w[one['severity']]}  {len(one['hosts']):,} {w['hosts']}"
        console.print(Text(head, style=_STYLES[one["severity"]]))
        first = one["hosts"][0]
        _line(console, w["first_host"], f"{value(first['host'])} {when(one['began'])}", w)
        _line(console, "", value(one["sentence"][language]), w)
        if one["entry"]:
            _line(console, w["came_in"], w["comma"].join(value(each[language]) for each in one["entry"][:3]), w)
        for each in one["shared"][:5]:
            _line(
                console,
                w["shared"] if each is one["shared"][0] else "",
                f"{w[each['kind']]} {value(each['value'])} ({each['hosts']})",
                w,
            )
        if one["variants"]:
            _line(
                console, w["variants"], w["comma"].join(f"{w[each['kind']]} ({each['different']})" for each in one["variants"]), w
            )
        if one["logins"]:
            steps = w["comma"].join(f"{value(each['from'])} → {value(each['to'])}" for each in one["logins"][:_LOGINS])
            _line(console, w["logins"], steps, w)
        if one["outside"]:
            sources = dict.fromkeys(value(each["address"]) for each in one["outside"])
            _line(console, w["outside"], w["comma"].join(list(sources)[:_LOGINS]), w)
        names = w["comma"].join(value(each["host"]) + over_since(each["ended"], w) for each in one["hosts"][:12])
        _line(console, w["hosts"], names + (f" +{len(one['hosts']) - 12}" if len(one["hosts"]) > 12 else ""), w)
    _incidents(console, document, language, w)
    _next(console, document, w)
    _rare(console, document, w)
    _covered(console, document, w)


def _line(console: Console, label: str, text: str, w: dict[str, str]) -> None:
    console.print(Padding(Text((label + w["colon"] if label else "") + text), (0, 0, 0, 2)))


def _incidents(console: Console, document: Document, language: str, w: dict[str, str]) -> None:
    """The hosts with findings that are in no campaign."""
    alone = [one for one in document["incidents"] if not one["campaign"]]
    if not alone:
        return
    console.print(Text(f"\n{w['incidents']}", style="bold"))
    grid = _grid()
    for one in alone[:_INCIDENTS]:
        severity = Text(w[one["severity"]], style=_STYLES[one["severity"]])
        sentence = Text(shown(one["sentence"][language], w["characters"]))
        grid.add_row(Text(shown(one["host"], w["characters"])), severity, sentence)
    console.print(grid)
    _left_out(console, len(alone) - _INCIDENTS)


def _next(console: Console, document: Document, w: dict[str, str]) -> None:
    if not document["next"]:
        return
    console.print(Text(f"\n{w['next']}", style="bold"))
    grid = _grid()
    for one in document["next"][:_NEXT]:
        why = w["comma"].join(
            f"{w[each['kind']]} {shown(each['what'], w['characters'])} ({each['campaign']})" for each in one["reasons"][:4]
        )
        grid.add_row(Text(shown(one["host"], w["characters"])), Text(why))
    console.print(grid)
    _left_out(console, len(document["next"]) + document["next_left_out"] - _NEXT)


def _rare(console: Console, document: Document, w: dict[str, str]) -> None:
    if not document["rare"]:
        return
    console.print(Text(f"\n{w['rare']}", style="bold"))
    grid = _grid()
    for one in document["rare"][:_RARE]:
        things = "\n".join(f"{each['kind']}  {shown(each['example'], w['characters'])}" for each in one["things"][:4])
        names = w["comma"].join(shown(each["host"], w["characters"]) for each in one["hosts"][:3])
        grid.add_row(Text(f"{len(one['hosts'])} {w['of_hosts']} {one['role_size']:,}"), Text(things), Text(names))
    console.print(grid)


def _covered(console: Console, document: Document, w: dict[str, str]) -> None:
    covered = document["coverage"]
    console.print(Text(f"\n{w['coverage']}", style="bold"))
    console.print(Text(w["silence_means"].format(hours=covered["silence_seconds"] // 3600, now=when(document["now"]))))
    if not covered["has_heartbeat"]:
        console.print(Text(w["no_heartbeat"], style="yellow"))
    grid = _grid()
    for one in covered["silent"][:_SILENT]:
        grid.add_row(Text(f"{w['silent']}  {shown(one['host'], w['characters'])}"), Text(when(one["last_heard"])))
    for kind, count in covered["problems"].items():
        grid.add_row(Text(w[kind]), Text(f"{count:,}"))
    for query, count in covered["failing"].items():
        grid.add_row(Text(f"{w['failing']}{w['colon']}{query}"), Text(f"{count:,}"))
    console.print(grid)
    _left_out(console, len(covered["silent"]) - _SILENT)
    read: dict[str, Any] = document["sources"]
    console.print(
        Text(w["sources"] + w["colon"] + ", ".join(f"{read[what]:,} {w[what]}" for what in ("files", "lines", "broken")))
    )
    for problem in read["problems"][:10]:
        console.print(Text(f"  {problem['place']}{w['colon']}{problem['why']}", style="yellow"))


def _grid() -> Table:
    return Table.grid(padding=(0, 2))


def _left_out(console: Console, count: int) -> None:
    if count > 0:
        console.print(Text(f"+{count:,}"))
