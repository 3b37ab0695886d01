"""The `minehunt` command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

import click
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

import tables as minehunt_tables
from extension import __version__, private_file
from extension.baseline.commands import baseline
from extension.command_line import FOUND, CannotRunError, EngineOptions, engine_options, open_embedded, open_pack, pack_option
from extension.container_triage import chosen, triage_containers
from extension.engines import EngineError, ResultRow
from extension.intel.commands import intel
from extension.pack.model import SEVERITIES, Pack
from extension.report import json as json_report
from extension.report import text as text_report
from extension.report.facts import Facts, collect
from extension.triage import Triage, run_triage
from tables.host import Host
from tables.schema import Table, clean_text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minehunt")
def main() -> None:
    """Hunt cryptominers on this host, step by step after the 18-step SOP."""


main.add_command(baseline)
main.add_command(intel)


@main.command()
@engine_options
@click.option("--step", "steps", type=click.IntRange(1, 18), multiple=True, help="Only this step (repeatable).")
@click.option("--format", "form", type=click.Choice(["text", "html", "md", "json"]), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead of printing it.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True)
@click.option("--fail-on", type=click.Choice(SEVERITIES), default="low", show_default=True, help="Findings from here on exit 1.")
@click.option("--container", metavar="ID|NAME|all", help="The files of running containers instead of this host's (text or json).")
@pack_option
def triage(
    options: EngineOptions,
    steps: tuple[int, ...],
    form: str,
    output: Optional[Path],
    lang: str,
    fail_on: str,
    container: Optional[str],
    folder: Optional[Path],
) -> None:
    """Run the SOP on this host: exit 0 = nothing at or above --fail-on, 1 = findings, 2 = could not run."""
    pack = open_pack(folder)
    if container is not None:
        _triage_containers(options, pack, container, steps, form, output, lang, fail_on)
        return
    if output is not None:
        # Now, not after minutes of work.
        _to_file(private_file.check, output)
    # Printed as text on standard output, the steps shown while it works are the report's first part.
    is_shown = form == "text" and output is None
    console = text_report.open_console(sys.stdout if is_shown else sys.stderr)
    with closing(options.open()) as opened:
        console.print(Text(f"minehunt {__version__}: engine {opened.name} ({opened.version})", style="dim"))
        with console.status("") as status:
            result = run_triage(
                pack,
                opened,
                steps,
                begin=lambda step: status.update(Text(f"{step.step}  {step.title.get(lang)}", style="dim")),
                done=lambda step: console.print(text_report.progress_line(step, lang)),
            )
        facts = collect(opened) if form in ("html", "md") else Facts()
    if is_shown:
        text_report.print_details(console, result, lang)
    else:
        report = _render(form, result, facts, lang)
        click.echo(report, nl=False) if output is None else _to_file(private_file.write, output, report)
    if result.has_finding(fail_on):
        sys.exit(FOUND)


def _triage_containers(
    options: EngineOptions,
    pack: Pack,
    wanted: str,
    steps: tuple[int, ...],
    form: str,
    output: Optional[Path],
    lang: str,
    fail_on: str,
) -> None:
    """Print what is found below each container's root folder."""
    host = options.host()
    if form not in ("text", "json") or not host.is_live or options.engine == "osquery":
        raise CannotRunError("--container gives text or json, of containers of the running system, by the embedded engine")
    found = list(triage_containers(pack, host, chosen(host, wanted), steps))
    if form == "json":
        report = json.dumps([{"container": one.title, **json_report.as_document(one.triage)} for one in found], indent=2) + "\n"
    else:
        report = "\n".join(f"{one.title}\n{text_report.render(one.triage, lang)}" for one in found)
    click.echo(report, nl=False) if output is None else _to_file(private_file.write, output, report)
    if any(one.triage.has_finding(fail_on) for one in found):
        sys.exit(FOUND)


@main.command()
@click.argument("sql")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@engine_options
def query(sql: str, form: str, options: EngineOptions) -> None:
    """Run SQL over osquery's tables and minehunt's."""
    with closing(options.open()) as opened:
        try:
            rows = opened.query(sql)
        except EngineError as error:
            raise CannotRunError(str(error)) from None
    click.echo({"table": _as_grid, "json": _as_json, "csv": _as_csv}[form](rows), nl=False)


@main.command("tables")
@click.argument("name", required=False)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show_tables(name: Optional[str], form: str) -> None:
    """List minehunt's tables, or describe the table NAME."""
    found = minehunt_tables.discover()
    if name is not None and name not in found:
        raise CannotRunError(f"no table {name!r}; there are: {', '.join(found)}")
    chosen = [found[name]] if name else list(found.values())
    if form == "json":
        click.echo(json.dumps([_describe(table) for table in chosen], indent=2))
    elif name:
        _print_table(chosen[0])
    else:
        for table in chosen:
            click.echo(f"{table.name:<26} {table.description}")


@main.group()
def pack() -> None:
    """Work on query packs."""


@pack.command()
@pack_option
def check(folder: Optional[Path]) -> None:
    """Check every file of the pack, compile every query, and check documented ones; says file and line of what is wrong."""
    loaded = open_pack(folder)
    with closing(open_embedded(Host())) as engine:
        # Where the engine is there, so is the parser that this needs.
        from extension.pack.check import check_documented_queries, check_pack

        problems = check_pack(loaded, engine) + check_documented_queries(loaded)
    for problem in problems:
        click.echo(str(problem), err=True)
    if problems:
        sys.exit(FOUND)
    click.echo(f"{loaded.name}: {len(loaded.steps)} steps, {len(loaded.queries())} queries, nothing wrong")


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def extension(arguments: tuple[str, ...]) -> None:
    """Serve the tables to an osquery: what osquery starts, with --socket PATH."""
    from extension.serving.start import serve

    sys.exit(serve(arguments))


def _render(form: str, result: Triage, facts: Facts, lang: str) -> str:
    if form == "json":
        return json_report.render(result)
    if form == "text":
        return text_report.render(result, lang)
    # Only these two need Jinja2, which takes a while to load.
    from extension.report import html, markdown

    return html.render(result, facts, lang) if form == "html" else markdown.render(result, facts, lang)


def _to_file(action: Callable[..., None], path: Path, *arguments: str) -> None:
    try:
        action(path, *arguments)
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror}") from None


def _as_json(rows: list[ResultRow]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _as_csv(rows: list[ResultRow]) -> str:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def _as_grid(rows: list[ResultRow]) -> str:
    if not rows:
        return "no rows\n"
    grid = Grid(box=None, pad_edge=False)
    for name in rows[0]:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean_text(value)) for value in row.values()))
    console = Console(file=io.StringIO(), highlight=False, width=Console().width)
    console.print(grid)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return text


def _describe(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "description": table.description,
        "sop_steps": list(table.sop_steps),
        "columns": [{"name": c.name, "type": c.type, "description": c.description, "options": c.options} for c in table.columns],
        "examples": list(table.examples),
        "notes": table.notes,
    }


def _print_table(table: Table) -> None:
    click.echo(f"{table.name}: {table.description}\nSOP steps: {', '.join(map(str, table.sop_steps))}\n")
    for column in table.columns:
        click.echo(f"  {column.name:<20} {column.type:<8} {column.description}")
    click.echo("\n" + "\n".join(line.strip() for line in table.notes.splitlines()))
    for example in table.examples:
        click.echo(f"\n  {example}")
