"""The triage as text for a terminal or a file: every step's state, then each finding with its evidence and what to do."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extension import __version__
from extension.engines import ResultRow
from extension.triage import ABNORMAL, ERROR, NEEDS_ROOT, NORMAL, NOT_APPLICABLE, QueryResult, StepResult, Triage, iso_time
from tables.schema import clean_text

_ROWS_SHOWN = 20
_VALUE_SHOWN = 400
_PLACEHOLDER = re.compile(r"<[a-z0-9_]+>")
_SAFE_IN_SHELL = re.compile(r"[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*")
_TIME_COLUMN = re.compile(r"(^|_)(time|mtime|ctime|atime|btime)$")
# Unix seconds of this age have ten digits; eleven reach into the year 5138.
_LONGEST_TIME = 12
_FILE_WIDTH = 120
_STYLES = {NORMAL: "green", ABNORMAL: "bold red", ERROR: "yellow", NEEDS_ROOT: "yellow", NOT_APPLICABLE: "dim"}
_MARKS = {NORMAL: "✓", ABNORMAL: "✗", ERROR: "!", NEEDS_ROOT: "?", NOT_APPLICABLE: "–"}
_VERDICT_STYLES = {"clean": "bold green", "suspicious": "bold yellow", "compromised": "bold red", "incomplete": "bold yellow"}

_WORDS = {
    "en": {
        NORMAL: "normal", ABNORMAL: "abnormal", ERROR: "error", NEEDS_ROOT: "needs root", NOT_APPLICABLE: "not applicable",
        "clean": "no sign of a cryptominer", "suspicious": "look at the findings",
        "compromised": "treat this host as an incident", "incomplete": "nothing found, but not everything could be checked",
        "verdict": "Verdict", "CLEAN": "clean", "SUSPICIOUS": "suspicious", "COMPROMISED": "compromised", "INCOMPLETE": "incomplete", "findings": "findings", "errors": "errors", "steps": "abnormal steps", "none": "none",
        "step": "Step", "do": "Next", "why": "Why", "false positives": "False positives", "more": "more rows in --format json",
        "blind": "Could not be checked", "policy": "not in place", "root": "run as root for the whole answer",
    },
    "zh": {
        NORMAL: "正常", ABNORMAL: "异常", ERROR: "出错", NEEDS_ROOT: "需要 root", NOT_APPLICABLE: "不适用",
        "clean": "未发现挖矿迹象", "suspicious": "请查看各项发现",
        "compromised": "请按安全事件处置本机", "incomplete": "未发现异常,但部分项目未能检查",
        "verdict": "结论", "CLEAN": "正常", "SUSPICIOUS": "可疑", "COMPROMISED": "已失陷", "INCOMPLETE": "不完整", "findings": "发现", "errors": "出错", "steps": "异常步骤", "none": "无",
        "step": "步骤", "do": "处置", "why": "原因", "false positives": "可能的误报", "more": "其余行请用 --format json 查看",
        "blind": "未能检查的内容", "policy": "未到位", "root": "请以 root 运行以获得完整结果",
    },
}  # fmt: skip


def progress_line(result: StepResult, language: str) -> Text:
    """One step as a line: mark, number, title, state, seconds."""
    words = _WORDS[language]
    seconds = sum(query.elapsed_ms for query in result.queries) / 1000
    return Text.assemble(
        (f" {_MARKS[result.status]} ", _STYLES[result.status]),
        f"{result.step.step:>2}  {result.step.title.get(language)}  ",
        (words[result.status], _STYLES[result.status]),
        (f"  {seconds:.1f} s", "dim"),
    )


def render(triage: Triage, language: str) -> str:
    """The whole report as plain text: the steps, then what `print_details` prints."""
    buffer = io.StringIO()
    console = open_console(buffer)
    for step in triage.steps:
        console.print(progress_line(step, language))
    print_details(console, triage, language)
    return buffer.getvalue()


def open_console(stream: IO[str]) -> Console:
    """A console on `stream`: as wide as the terminal and in colour where it is one, else 120 columns of plain text."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _FILE_WIDTH)


def print_details(console: Console, triage: Triage, language: str) -> None:
    """Print each finding with its evidence and what to do, what could not be checked, and the verdict."""
    words = _WORDS[language]
    for step in triage.steps:
        _print_step(console, step, language)
    if triage.blind_spots:
        console.print()
        console.print(Text(words["blind"], style="bold"))
        for spot in triage.blind_spots:
            console.print(Padding(Text(f"{spot.table}: {_shown(spot.why)}"), (0, 0, 0, 2), expand=False))
    console.print()
    host = " · ".join(clean_text(triage.host[key]) for key in ("hostname", "system", "kernel", "user"))
    console.print(Text(f"minehunt {__version__} · {host} · {triage.engine_name} · {iso_time(triage.started)}", style="dim"))
    _print_verdict(console, triage, words)


def _print_verdict(console: Console, triage: Triage, words: dict[str, str]) -> None:
    style = _VERDICT_STYLES[triage.verdict]
    console.print(
        Text.assemble((f"{words['verdict']}: ", "bold"), (f"{words[triage.verdict.upper()]} – {words[triage.verdict]}", style))
    )
    steps = ", ".join(map(str, triage.abnormal_steps)) or words["none"]
    console.print(
        Text(f"{words['findings']}: {triage.findings}   {words['steps']}: {steps}   {words['errors']}: {triage.errors}")
    )
    if any(step.status == NEEDS_ROOT for step in triage.steps):
        console.print(Text(words["root"], style="yellow"))


def _print_step(console: Console, result: StepResult, language: str) -> None:
    words = _WORDS[language]
    told = [query for query in result.queries if query.status in (ABNORMAL, ERROR)]
    if not told:
        return
    console.print()
    console.rule(Text(f"{words['step']} {result.step.step}: {result.step.title.get(language)}"), align="left", style="dim")
    for query in told:
        _print_query(console, query, language, words)


def _print_query(console: Console, result: QueryResult, language: str, words: dict[str, str]) -> None:
    query = result.query
    attack = f"  {' '.join(query.attack)}" if query.attack else ""
    state = words["policy"] if query.kind == "policy" and result.status == ABNORMAL else words[result.status]
    console.print(Text.assemble((query.name, "bold"), f"  {query.severity}{attack}  ", (state, _STYLES[result.status])))
    if result.error:
        console.print(Padding(Text(clean_text(result.error), style="yellow"), (0, 0, 0, 2), expand=False))
        return
    for row in result.rows[:_ROWS_SHOWN]:
        console.print(Padding(_row(row), (0, 0, 0, 2), expand=False))
    if len(result.rows) > _ROWS_SHOWN:
        console.print(
            Padding(Text(f"+ {len(result.rows) - _ROWS_SHOWN} {words['more']}", style="dim"), (0, 0, 0, 2), expand=False)
        )
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(words["why"], Text(query.description.get(language)))
    if query.false_positives and query.kind != "policy":
        grid.add_row(words["false positives"], Text(" ".join(query.false_positives)))
    grid.add_row(words["do"], Text(_filled(query.response.get(language), result.rows)))
    console.print(Padding(grid, (0, 0, 1, 2), expand=False))


def _row(row: ResultRow) -> Text:
    """One finding as `name=value` pairs, the evidence on a line of its own; nothing in it can steer the terminal."""
    pairs = [(name, _value(name, value)) for name, value in row.items() if value and name != "evidence"]
    text = Text("• ")
    text.append_text(Text("  ").join(_pairs(pairs)))
    if row.get("evidence"):
        text.append(f"\n  {_shown(row['evidence'])}", style="italic")
    return text


def _filled(response: str, rows: tuple[ResultRow, ...]) -> str:
    """The response with `<column>` filled in from the only row there is, where a shell could not misread the value."""
    if len(rows) != 1:
        return response
    values = {f"<{name}>": value for name, value in rows[0].items() if _SAFE_IN_SHELL.fullmatch(value)}
    return _PLACEHOLDER.sub(lambda match: values.get(match[0], match[0]), response)


def _value(name: str, value: str) -> str:
    if _TIME_COLUMN.search(name) and value.isdigit():
        return f"{value} ({iso_time(int(value))})" if len(value) < _LONGEST_TIME else value
    return _shown(value)


def _shown(value: str) -> str:
    text = clean_text(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}… ({len(text)} characters)"


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[Text]:
    return [
        Text.assemble((f"{name}=", "dim"), value if " " not in value or _TIME_COLUMN.search(name) else f"“{value}”")
        for name, value in pairs
    ]
