"""`minehunt intel show` and `minehunt intel check`, and the group that all intel commands are in."""

from __future__ import annotations

import datetime
import json
import os
import sys
from typing import Any, Optional

import click

from extension.command_line import FOUND, CannotRunError
from extension.intel.check import Problem, check_list
from extension.intel.console import config_option, loaded, shared_ranges, utc_today
from extension.intel.feed_commands import import_list, update_lists
from extension.intel.in_force import read_lines
from extension.intel.ranges import RangeSet
from extension.intel.resolve_command import resolve_names
from tables.errors import TableError
from tables.host.disk.files import Files
from tables.host.settings import Settings
from tables.indicators.pool_lists import PoolList
from tables.schema import clean_text


class _Intel(click.Group):
    """The group, which says what is missing where the single file that osquery loads is used."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise CannotRunError(
                f"this needs the Python package {error.name}, which this file does not carry; "
                "install minehunt with pip, or run it from its repository"
            ) from None


@click.group(cls=_Intel)
def intel() -> None:
    """Keep the lists of mining pools: see, check, import, update and resolve them."""


for _command in (import_list, update_lists, resolve_names):
    intel.add_command(_command)


@intel.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_option
def show(form: str, config: Optional[str]) -> None:
    """Show the lists in force, built-in ones included, with what they hold and how old they are."""
    lists = [_described(each) for each in loaded(Settings.from_environment(config)).lists]
    if form == "json":
        click.echo(json.dumps(lists, indent=2, ensure_ascii=False))
        return
    for each in lists:
        counts = ", ".join(f"{count} {kind}" for kind, count in each["entries"].items())
        age = f"{each['date']}, {each['age_days']} days old" if each["age_days"] is not None else "no date"
        click.echo(f"{clean_text(each['name'])} ({each['kind']}): {counts or 'no entries'}; {age}")
        for key in ("path", "version", "imported", "source", "licence", "confidence"):
            if each[key]:
                click.echo(f"    {key:<12}{clean_text(each[key])}")


@intel.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--max-age", type=click.IntRange(0), default=90, show_default=True, metavar="DAYS")
@config_option
def check(files: tuple[str, ...], max_age: int, config: Optional[str]) -> None:
    """Check the lists in force, or these FILEs: exit 0 = nothing wrong, 1 = problems, 2 = could not run.

    A problem is a malformed or duplicate line, an address of a CDN, a cloud or a private network, a name that is a public
    suffix or none of the internet's, and a list or a resolved entry older than --max-age.
    """
    settings = Settings.from_environment(config)
    try:
        paths = list(map(os.path.abspath, files)) or settings.indicator_files()
    except (TableError, OSError) as error:
        raise CannotRunError(str(error)) from None
    shared = shared_ranges(settings)
    problems = [problem for path in paths for problem in _problems(path, shared, max_age)]
    for problem in problems:
        click.echo(clean_text(str(problem)))
    click.echo(f"{len(paths)} lists, {len(problems)} problems", err=True)
    if problems:
        sys.exit(FOUND)


def _problems(path: str, shared: RangeSet, max_age: int) -> list[Problem]:
    try:
        changed = datetime.datetime.fromtimestamp(Files("/").stat(path).st_mtime, datetime.timezone.utc).date()
        return check_list(path, read_lines(path), shared, max_age, utc_today(), changed)
    except OSError as error:
        return [Problem(path, 0, "unreadable", str(error))]


def _described(each: PoolList) -> dict[str, Any]:
    header = each.header
    return {
        "name": header.feed,
        "path": each.path,
        "kind": header.kind,
        "entries": each.counts,
        "version": header.version,
        "date": header.date,
        "imported": header.imported,
        "age_days": each.age_days(utc_today()),
        "source": header.source,
        "licence": header.licence,
        "confidence": header.confidence,
        "sha256": each.sha256,
    }
