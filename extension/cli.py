"""The `minehunt` command line."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

import click

import tables as minehunt_tables
from extension import __version__
from extension.command_line import (
    FOUND,
    CannotRunError,
    EngineOptions,
    StoppedError,
    engine_options,
    open_embedded,
    open_pack,
    pack_option,
)
from extension.engines import EngineError, ResultRow
from extension.tabular import as_csv, as_grid
from extension.terminal import prepare_streams
from tables.host import Host
from tables.schema import Table

# Commands that are loaded when asked for: module and name. Those that are not in the one file say so.
COMMANDS = {
    "triage": ("extension.triage_command", "triage"),
    "plan": ("extension.plan.commands", "plan"),
    "collect": ("extension.collect.commands", "collect"),
    "compare": ("extension.watch.commands", "compare"),
    "watch": ("extension.watch.commands", "watch"),
    "explain": ("extension.explain", "explain"),
    "export": ("extension.export.commands", "export"),
    "baseline": ("extension.baseline.commands", "baseline"),
    "fleet": ("extension.fleet.commands", "fleet"),
    "intel": ("extension.intel.commands", "intel"),
}


class _Commands(click.Group):
    """The commands, in the order of `--help`; a module is imported when its command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = COMMANDS[cmd_name]
        if importlib.util.find_spec(module.rpartition(".")[0]) is None or importlib.util.find_spec(module) is None:
            return None
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedError("interrupted") from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        if args and args[0] in COMMANDS and self.get_command(ctx, args[0]) is None:
            raise CannotRunError(f"{args[0]} is not in this file, which is for osquery; minehunt's wheel or repository has it")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minehunt")
def main() -> None:
    """Hunt cryptominers on this host, step by step after the 18-step SOP."""
    prepare_streams()


@main.command()
@click.argument("sql")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@engine_options
def query(sql: str, form: str, options: EngineOptions) -> None:
    """Run SQL over osquery's tables and minehunt's."""
    if not sql.strip().strip(";").strip():
        raise CannotRunError("the query is empty")
    with closing(options.open()) as opened:
        try:
            rows = opened.query(sql)
        except EngineError as error:
            raise CannotRunError(str(error)) from None
    click.echo({"table": as_grid, "json": _as_json, "csv": as_csv}[form](rows), nl=False)


def _complete_tables(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in minehunt_tables.discover() if name.startswith(incomplete)]


@main.command("tables")
@click.argument("name", required=False, shell_complete=_complete_tables)
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


def _as_json(rows: list[ResultRow]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


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
