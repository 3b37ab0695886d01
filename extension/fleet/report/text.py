"""The fleet report as text for a terminal or a file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import IO, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extension.fleet.report.called import called
from extension.fleet.report.cut import in_line, left_out, some
from extension.fleet.report.document import Document
from extension.fleet.report.times import over_since, silence, when
from extension.fleet.report.words import rare_kind, words
from extension.report.values import shown

_WIDTH = 120
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_CAMPAIGNS, _SHARED, _BLOCK, _LOGINS, _HOSTS = 20, 5, 10, 20, 12
_ALIKE, _INCIDENTS, _RARE, _NEXT, _SILENT = 20, 20, 20, 20, 40
_FEW, _SOME, _PROBLEMS = 3, 4, 10


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
    _Writer(console, document, language).write()


class _Writer:
    def __init__(self, console: Console, document: Document, language: str) -> None:
        self._console, self._d, self._language = console, document, language
        self._words = words(language)
        self._called = called(document)

    def write(self) -> None:
        style = "bold red" if self._d["summary"]["compromised"] else "bold green"
        self._print(self._d["sentence"][self._language], style)
        for one in self._d["campaigns"][:_CAMPAIGNS]:
            self._campaign(one)
        self._left_out(len(self._d["campaigns"]) - _CAMPAIGNS)
        self._alike()
        self._incidents()
        self._next()
        self._rare()
        self._covered()

    def _campaign(self, one: Document) -> None:
        w = self._words
        self._console.print()
        self._print(f"{one['name']}  {w[one['severity']]}  {len(one['hosts']):,} {w['hosts']}", _STYLES[one["severity"]])
        self._line(w["first_host"], f"{self._host(one['hosts'][0])} {when(one['began'])}")
        self._line("", self._value(one["sentence"][self._language]))
        if one["entry"]:
            self._line(w["came_in"], in_line([self._value(each[self._language]) for each in one["entry"]], _FEW, w["semicolon"]))
        self._lines(w["shared"], [f"{self._thing(each)} ({each['hosts']})" for each in one["shared"]], _SHARED)
        if one["variants"]:
            self._line(w["variants"], w["comma"].join(f"{w[each['kind']]} ({each['different']})" for each in one["variants"]))
        if one["logins"]:
            steps = [f"{self._host(each, 'from')} → {self._host(each, 'to')}" for each in one["logins"]]
            self._line(w["logins"], in_line(steps, _LOGINS, w["comma"]))
        self._lines(w["outside"], [self._origin(each) for each in one["origins"]], _LOGINS)
        self._lines(w["block"], [self._thing(each) for each in one["indicators"]], _BLOCK)
        self._line(w["hosts"], self._hosts(one["hosts"], _HOSTS))

    def _alike(self) -> None:
        listed = self._d["alike"]
        rows = []
        for one in listed[:_ALIKE]:
            about = [*some(map(self._thing, one["things"]), _FEW), self._hosts(one["hosts"], _FEW)]
            count = f"{len(one['hosts']):,} {self._words['hosts']}"
            rows.append([self._severity(one), Text(count), Text("\n".join([one["query"], *about]))])
        self._table("alike", rows, len(listed) - _ALIKE, self._words["alike_means"])

    def _incidents(self) -> None:
        """The hosts with findings that are in no campaign."""
        alone = [one for one in self._d["incidents"] if not one["campaign"]]
        rows = [
            [Text(self._host(one)), self._severity(one), Text(self._value(one["sentence"][self._language]))]
            for one in alone[:_INCIDENTS]
        ]
        self._table("incidents", rows, len(alone) - _INCIDENTS)

    def _next(self) -> None:
        w, listed = self._words, self._d["next"]
        rows = []
        for one in listed[:_NEXT]:
            why = [f"{w[each['kind']]} {self._value(each['what'])} ({each['campaign']})" for each in one["reasons"]]
            rows.append([Text(self._host(one)), Text(in_line(why, _SOME, w["semicolon"]))])
        self._table("next", rows, len(listed) + self._d["next_left_out"] - _NEXT)

    def _rare(self) -> None:
        rows = []
        for one in self._d["rare"][:_RARE]:
            things = (f"{rare_kind(each['kind'], self._language)}  {self._value(each['example'])}" for each in one["things"])
            count = Text(f"{len(one['hosts'])} {self._words['of_hosts']} {one['role_size']:,}")
            rows.append([count, Text("\n".join(some(things, _SOME))), Text(self._hosts(one["hosts"], _FEW))])
        self._table("rare", rows, len(self._d["rare"]) + self._d["rare_left_out"] - _RARE)

    def _covered(self) -> None:
        w, covered = self._words, self._d["coverage"]
        self._print(f"\n{w['coverage']}", "bold")
        self._print(silence(self._d, w))
        if not covered["has_heartbeat"]:
            self._print(w["no_heartbeat"], "yellow")
        rows = [(f"{w['silent']}  {self._host(one)}", when(one["last_heard"])) for one in covered["silent"][:_SILENT]]
        rows += [(w[kind], f"{count:,}") for kind, count in covered["problems"].items()]
        rows += [(f"{w['failing']}{w['colon']}{query}", f"{count:,}") for query, count in covered["failing"].items()]
        self._grid([Text(text) for text in row] for row in rows)
        self._left_out(len(covered["silent"]) - _SILENT)
        read: dict[str, Any] = self._d["sources"]
        self._print(
            w["sources"] + w["colon"] + w["comma"].join(f"{read[what]:,} {w[what]}" for what in ("files", "lines", "broken"))
        )
        for problem in read["problems"][:_PROBLEMS]:
            self._print(f"  {problem['place']}{w['colon']}{problem['why']}", "yellow")
        self._left_out(len(read["problems"]) + read["problems_left_out"] - _PROBLEMS)

    def _value(self, text: str) -> str:
        return shown(text, self._words["characters"])

    def _thing(self, one: Document) -> str:
        return f"{self._words[one['kind']]} {self._value(one['value'])}"

    def _origin(self, one: Document) -> str:
        user = f" ({self._value(one['username'])})" if one["username"] else ""
        w = self._words
        return (
            f"{when(one['time'])} {self._value(one['address'])}{user}{w['comma']}{w['hosts']}{w['colon']}{one['hosts']:,}".strip()
        )

    def _host(self, one: Document, role: str = "") -> str:
        """What the host of a document's part is called; `role` is that of a login."""
        return self._value(self._called[one[f"{role}_key" if role else "key"]])

    def _hosts(self, listed: Sequence[Document], most: int) -> str:
        names = [self._host(each) + over_since(each.get("ended"), self._words) for each in listed]
        return in_line(names, most, self._words["comma"])

    def _severity(self, one: Document) -> Text:
        return Text(self._words[one["severity"]], style=_STYLES[one["severity"]])

    def _table(self, title: str, rows: Sequence[Sequence[Text]], left_out: int = 0, means: str = "") -> None:
        """A section of the report, if it has rows."""
        if not rows:
            return
        self._print(f"\n{self._words[title]}", "bold")
        if means:
            self._print(means)
        self._grid(rows)
        self._left_out(left_out)

    def _grid(self, rows: Iterable[Sequence[Text]]) -> None:
        grid = Table.grid(padding=(0, 2))
        for row in rows:
            grid.add_row(*row)
        self._console.print(grid)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def _line(self, label: str, text: str) -> None:
        self._console.print(Padding(Text((label + self._words["colon"] if label else "") + text), (0, 0, 0, 2)))

    def _lines(self, label: str, texts: Sequence[str], most: int) -> None:
        """So many of the texts, the first behind the label."""
        for number, text in enumerate(some(texts, most)):
            self._line("" if number else label, text)

    def _left_out(self, count: int) -> None:
        if count > 0:
            self._print(left_out(count))
