"""`minehunt intel resolve`."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import click

from extension.command_line import FOUND, CannotRunError
from extension.intel.collect import Rejected
from extension.intel.console import config_option, loaded, shared_ranges, utc_today, write_list
from extension.intel.in_force import read_lines
from extension.intel.resolve import Target, known_targets, name_server, resolve, still_fresh, target
from extension.intel.store import render
from tables.host.settings import Settings
from tables.indicators.pool_lists import Indicator, ListHeader, Resolved
from tables.indicators.pools import PoolIndicators
from tables.schema import clean_text

_LIST = "resolved"


@click.command("resolve")
@click.argument("names", nargs=-1, metavar="[NAME[:PORT]]...")
@click.option("--all", "is_all", is_flag=True, help="Every listed name of which a port is known.")
@click.option("--nameserver", metavar="IP[:PORT]", help="Name server to ask instead of this machine's.")
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, metavar="SECONDS")
@click.option("--keep-days", type=click.IntRange(0), default=7, show_default=True, help="How long earlier answers stay listed.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Instead of indicators.d/resolved.txt.")
@config_option
def resolve_names(
    names: tuple[str, ...],
    is_all: bool,
    nameserver: Optional[str],
    timeout: float,
    keep_days: int,
    output: Optional[Path],
    config: Optional[str],
) -> None:
    """Look pools' names up into a dated list of ip:port.

    This asks a name server for mining pools: run it where that alarms nobody, not on the hosts that are watched. A name's
    ports are those that the lists know, web ports only where NAME:PORT gives them. Addresses of CDNs, clouds and private
    networks are left out. Exit 0 = every name gave an answer, 1 = some did not, 2 = none did.
    """
    if bool(names) == is_all:
        raise CannotRunError("give names, or --all")
    settings = Settings.from_environment(config)
    indicators = loaded(settings)
    try:
        resolver = name_server(nameserver, timeout)
    except ValueError as error:
        raise CannotRunError(f"--nameserver: {error}") from None
    targets, failed = (known_targets(indicators), []) if is_all else _targets(names, indicators)
    today = utc_today()
    answers = resolve(targets, resolver, shared_ranges(settings), today.isoformat())
    failed += answers.failed
    for name, text, reason in answers.refused:
        click.echo(clean_text(f"{name}: {text} left out: {reason}"))
    for name, _, reason in failed:
        click.echo(clean_text(f"{name}: {reason}"), err=True)
    path = output or Path(settings.indicators_folder, f"{_LIST}.txt")
    if not answers.resolved:
        raise CannotRunError(f"no name gave an address that can be listed; {path} was not changed")
    try:
        earlier = dict(still_fresh(read_lines(str(path.absolute())), today, keep_days)) if path.exists() else {}
    except OSError as error:
        raise CannotRunError(str(error)) from None
    write_list(path, _render({**earlier, **answers.resolved}, today))
    click.echo(f"{len(targets) - len(answers.failed)} names, {len(answers.resolved)} entries, {len(answers.refused)} left out")
    if failed:
        sys.exit(FOUND)


def _targets(names: Iterable[str], indicators: PoolIndicators) -> tuple[list[Target], list[Rejected]]:
    """What to look up, and the names for which that makes no sense."""
    targets: list[Target] = []
    failed: list[Rejected] = []
    for name in names:
        found = target(name, indicators)
        if isinstance(found, Target):
            targets.append(found)
        else:
            failed.append(found)
    return targets, failed


def _render(entries: dict[Indicator, Resolved], today: datetime.date) -> str:
    day = today.isoformat()
    header = ListHeader(feed=_LIST, date=day, imported=day, source="minehunt intel resolve", confidence="high")
    ordered = sorted(entries, key=lambda indicator: (entries[indicator].name, str(indicator)))
    notes = {indicator: f"resolved {found.name} {found.date}" for indicator, found in entries.items()}
    return render(header, ordered, notes)
