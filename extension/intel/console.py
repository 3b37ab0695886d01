"""What the intel commands share: their settings, the lists in force, and how they say what became of a feed."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

import click

from extension.command_line import CannotRunError
from extension.intel.collect import Collected, Rejected, first
from extension.intel.in_force import shared_in_force
from extension.intel.ranges import RangeSet
from extension.intel.store import write
from tables.errors import TableError
from tables.host import Host
from tables.host.settings import Settings
from tables.indicators.pools import PoolIndicators, pool_indicators
from tables.schema import clean_text

NAMED = 10
config_option = click.option("--config", metavar="FILE", help="Configuration instead of /etc/minehunt/minehunt.yaml.")


def loaded(settings: Settings) -> PoolIndicators:
    """The indicators in force."""
    try:
        return pool_indicators(Host(settings=settings))
    except (TableError, OSError) as error:
        raise CannotRunError(str(error)) from None


def shared_ranges(settings: Settings) -> RangeSet:
    """The ranges of CDNs and clouds in force; a list that cannot be read is named and left out."""
    try:
        return shared_in_force(settings, lambda problem: click.echo(f"not read: {clean_text(problem)}", err=True))
    except (TableError, OSError) as error:
        raise CannotRunError(str(error)) from None


def tell(name: str, collected: Collected, named: int = NAMED) -> None:
    """Print the counts; name the first entries that were not understood, and the first `named` refused ones."""
    click.echo(f"{name}: {collected.summary()}")
    _tell_rejected("not understood", collected.junk, NAMED)
    _tell_rejected("refused", collected.refused, named)


def _tell_rejected(word: str, rejected: Iterable[Rejected], count: int) -> None:
    for line in first(rejected, count) if count else ():
        click.echo(f"    {word}: {clean_text(line)}", err=True)


def write_list(path: Path, text: str) -> None:
    """Write a list whole, and say so."""
    try:
        write(path, text)
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror or error}") from None
    click.echo(f"written: {path}")


def utc_today() -> datetime.date:
    """The day, in UTC, as every list has it."""
    return datetime.datetime.now(datetime.timezone.utc).date()
