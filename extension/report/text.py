"""The triage as text for a terminal or a file: every step's state, what happened and what to do, then each finding."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extension import __version__
from extension.engines import ResultRow
from extension.incidents.steps import Todo
from extension.report.facts import Facts
from extension.report.values import moment, shown, shown_column
from extension.report.view import ROWS_TOLD, View, evidence_of, todos_of, verdict_means, view
from extension.report.words import MARKS, words
from extension.triage import (
    ABNORMAL,
    ERROR,
    INCOMPLETE,
    NEEDS_ROOT,
    NORMAL,
    NOT_APPLICABLE,
    QueryResult,
    StepResult,
    Triage,
    iso_time,
)
from tables.schema import clean_text

_ROWS_SHOWN = 20
_FILE_WIDTH = 120
_STYLES = {
    NORMAL: "green",
    ABNORMAL: "bold red",
    ERROR: "yellow",
    INCOMPLETE: "yellow",
    NEEDS_ROOT: "yellow",
    NOT_APPLICABLE: "dim",
}
_VERDICT_STYLES = {
    "clean": "bold green",
    "partial": "bold green",
    "suspicious": "bold yellow",
    "compromised": "bold red",
    "incomplete": "bold yellow",
}
_SEGMENT_STYLES = {"code": "bold", "value": "bold"}


def progress_line(result: StepResult, language: str) -> Text:
    """One step as a line: mark, number, title, state, seconds."""
    texts = words(language)
    seconds = sum(query.elapsed_ms for query in result.queries) / 1000
    return Text.assemble(
        (f" {MARKS[result.status]} ", _STYLES[result.status]),
        f"{result.step.step:>2}  {result.step.title.get(language)}  ",
        (texts[result.status], _STYLES[result.status]),
        (f"  {seconds:.1f} {texts['second']}", "dim"),
    )


def render(triage: Triage, language: str) -> str:
    """The whole report as plain text: the steps, then what `print_details` prints."""
    buffer = io.StringIO()
    console = open_console(buffer)
    for step in triage.steps:
        console.print(progress_line(step, language))
    print_details(console, triage, language)
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def open_console(stream: IO[str]) -> Console:
    """A console on `stream`: as wide as the terminal and in colour where it is one, else 120 columns of plain text."""
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, width=_FILE_WIDTH, force_terminal=False, color_system=None)


def print_details(console: Console, triage: Triage, language: str) -> None:
    """Print the verdict, what happened and what to do first, then each finding, what could not be checked, and the verdict."""
    texts = words(language)
    _print_stories(console, view(triage, Facts(), language))
    for step in triage.steps:
        _print_step(console, step, language)
    if triage.blind_spots:
        console.print()
        console.print(Text(texts["blind"], style="bold"))
        for spot in triage.blind_spots:
            _print_indented(console, texts["colon"].join(shown(part, texts["characters"]) for part in (spot.table, spot.why)))
    console.print()
    host = " · ".join(shown(triage.host[key], texts["characters"]) for key in ("hostname", "system", "kernel", "user"))
    console.print(Text(f"minehunt {__version__} · {host} · {triage.engine_name} · {iso_time(triage.started)}", style="dim"))
    _print_verdict(console, triage, texts)


def _print_stories(console: Console, shown_view: View) -> None:
    """The incidents in a sentence each, their chains, and the first commands of the plan; nothing where there is none."""
    texts = shown_view.words
    if not shown_view.stories:
        return
    console.print()
    _print_verdict(console, shown_view.triage, texts)
    for story in shown_view.stories:
        console.print()
        console.print(Text(shown_sentence(story.sentence), style="bold"))
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for stage, links, more in story.chain:
            lines = [f"{shown_view.when(link.when)}  {link.text}" if link.when else link.text for link in links]
            grid.add_row(texts[stage], Text("\n".join((*lines, *([f"+ {more}"] if more else ())))))
        console.print(Padding(grid, (0, 0, 0, 2), expand=False))
    console.print()
    console.print(Text(texts["plan"], style="bold"))
    for phase, commands in shown_view.first_commands:
        for command in commands:
            _print_indented(console, f"{texts[phase]}{texts['colon']}{command}")
    if shown_view.commands_left_out:
        _print_indented(console, f"+ {shown_view.commands_left_out} {texts['more_commands']}", "dim")


def shown_sentence(text: str) -> str:
    """A sentence with a capital where its script has one."""
    return text[:1].upper() + text[1:] if text.startswith("found ") else text


def _print_indented(console: Console, text: str, style: str = "") -> None:
    console.print(Padding(Text(text, style=style), (0, 0, 0, 2), expand=False))


def _print_verdict(console: Console, triage: Triage, texts: dict[str, str]) -> None:
    style = _VERDICT_STYLES[triage.verdict]
    meaning = verdict_means(triage, texts)
    joint = texts["partial_joint"] if triage.verdict == "partial" else " – "
    console.print(Text.assemble((texts["verdict"] + texts["colon"], "bold"), (f"{texts[triage.verdict]}{joint}{meaning}", style)))
    counts = [("findings", str(triage.findings))]
    for word, steps in (("steps", triage.abnormal_steps), ("unchecked_steps", triage.unchecked_steps)):
        if steps or word == "steps":
            counts.append((word, texts["comma"].join(map(str, steps)) or texts["none"]))
    counts.append(("errors", str(triage.errors)))
    console.print(Text("   ".join(f"{texts[word]}{texts['colon']}{count}" for word, count in counts)))
    if triage.is_interrupted:
        console.print(Text(texts["interrupted"], style="bold yellow"))
    if triage.left_out:
        console.print(Text(f"{texts['left_out_quick']}{texts['colon']}{texts['comma'].join(triage.left_out)}", style="yellow"))
    if any(step.status == NEEDS_ROOT for step in triage.steps):
        console.print(Text(texts["as_root"], style="yellow"))


def _print_step(console: Console, result: StepResult, language: str) -> None:
    texts = words(language)
    told = [query for query in result.queries if query.status in (ABNORMAL, ERROR, INCOMPLETE)]
    if not told:
        return
    console.print()
    title = f"{texts['step']} {result.step.step}{texts['colon']}{result.step.title.get(language)}"
    console.rule(Text(title), align="left", style="dim")
    for query in told:
        _print_query(console, query, language, texts)


def _print_query(console: Console, result: QueryResult, language: str, texts: dict[str, str]) -> None:
    query = result.query
    attack = f"  {' '.join(query.attack)}" if query.attack else ""
    state = texts["not_in_place"] if query.kind == "policy" and result.status == ABNORMAL else texts[result.status]
    title = query.title.get(language) or query.name
    name = "" if title == query.name else f"  {query.name}"
    console.print(
        Text.assemble((title, "bold"), (name, "dim"), f"  {texts[query.severity]}{attack}  ", (state, _STYLES[result.status]))
    )
    for cut in result.cuts:
        told = f"{texts['not_looked_at']}{texts['colon']}{shown(cut.table, texts['characters'])}{texts['colon']}"
        _print_indented(console, told + shown(cut.why, texts["characters"]), "yellow")
    if result.status == INCOMPLETE:
        return
    if result.error:
        _print_indented(console, shown(result.error, texts["characters"]), "yellow")
        return
    for row in result.rows[:_ROWS_SHOWN]:
        console.print(Padding(_row(row, evidence_of(query, row, language), texts), (0, 0, 0, 2), expand=False))
    if len(result.rows) > _ROWS_SHOWN:
        _print_indented(console, f"+ {len(result.rows) - _ROWS_SHOWN} {texts['more']}", "dim")
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(texts["why"], Text(query.description.get(language)))
    if query.false_positives and query.kind != "policy":
        grid.add_row(texts["false_positives"], Text("\n".join(text.get(language) for text in query.false_positives)))
    for todo in todos_of(result, language):
        grid.add_row(texts[todo.phase], _todo(todo, texts))
    if len(result.rows) > ROWS_TOLD:
        grid.add_row("", Text(texts["more_told"], style="dim"))
    console.print(Padding(grid, (0, 0, 1, 2), expand=False))


def _row(row: ResultRow, says: str, texts: dict[str, str]) -> Text:
    """One finding as `name=value` pairs, what it shows on a line of its own; nothing in it can steer the terminal."""
    pairs = [(name, shown_column(name, value, texts["characters"])) for name, value in row.items() if value and value != says]
    text = Text("• ")
    text.append_text(Text("  ").join(_pairs(pairs, row)))
    if says:
        text.append(f"\n  {shown(says, texts['characters'])}", style="italic")
    return text


def _pairs(pairs: Iterable[tuple[str, str]], row: ResultRow) -> list[Text]:
    return [
        Text.assemble((f"{clean_text(name)}=", "dim"), value if " " not in value or moment(name, row[name]) else f"“{value}”")
        for name, value in pairs
    ]


def _todo(todo: Todo, texts: dict[str, str]) -> Text:
    text = Text.assemble(
        *((f"`{piece}`" if kind == "code" else piece, _SEGMENT_STYLES.get(kind, "")) for kind, piece in todo.text)
    )
    if todo.is_refused:
        text.append(f" ({texts['refused']})", style="italic")
    if todo.command:
        text.append(f"\n{todo.command}", style="bold")
    return text
