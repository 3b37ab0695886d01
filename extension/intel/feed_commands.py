"""`minehunt intel import` and `minehunt intel update`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Optional, Union

import click

from extension.command_line import FOUND, CannotRunError
from extension.intel.collect import collect
from extension.intel.console import NAMED, config_option, shared_ranges, tell, utc_today, write_list
from extension.intel.feeds import FeedsError, FeedSource, RefusedFeedError, configured_feeds, in_order, last_seen, update
from extension.intel.formats import FORMATS, FormatError, read_feed
from extension.intel.store import is_list_name, render
from tables.errors import TableError
from tables.host.disk.files import Files
from tables.host.settings import Settings
from tables.indicators.pool_lists import CONFIDENCES, KINDS, ListHeader, parse_date
from tables.indicators.pools import MAX_LIST_BYTES
from tables.schema import clean_text


def _day(context: click.Context, parameter: Union[click.Option, click.Parameter], value: Optional[str]) -> Optional[str]:
    if value is not None and parse_date(value) is None:
        raise click.BadParameter(f"{value!r} is no day, YYYY-MM-DD", context, parameter)
    return value


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--name", metavar="NAME", help="Name of the list; the file's, without its ending, unless given.")
@click.option("--kind", type=click.Choice(KINDS), help="shared is for ranges of CDNs and clouds; told by the file unless given.")
@click.option("--source", metavar="URL", help="Where the file is from.")
@click.option("--licence", metavar="LICENCE", help="Under which licence, for whoever reviews the list.")
@click.option("--confidence", type=click.Choice(CONFIDENCES), default="medium", show_default=True)
@click.option("--date", metavar="YYYY-MM-DD", callback=_day, help="Day of the data; the file's own, else today, unless given.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Instead of indicators.d/NAME.txt.")
@click.option("--strict", is_flag=True, help="Exit 1 also when an entry was refused.")
@config_option
def import_list(
    file: Path,
    form: str,
    name: Optional[str],
    kind: Optional[str],
    source: Optional[str],
    licence: Optional[str],
    confidence: str,
    date: Optional[str],
    output: Optional[Path],
    strict: bool,
    config: Optional[str],
) -> None:
    """Turn a feed's FILE into a list in force.

    Exit 0 = imported, entries that no list may hold being refused and named; 1 = imported, but some entries could not be
    understood; 2 = nothing was imported, a former list was kept.
    """
    settings = Settings.from_environment(config)
    name = name or file.stem
    if not is_list_name(name):
        raise CannotRunError(f"{name!r} cannot be the name of a list; --name gives another")
    try:
        feed = read_feed(_text(file), form)
    except FormatError as error:
        raise CannotRunError(f"{file}: {error}") from None
    collected = collect(feed, kind or feed.kind, shared_ranges(settings))
    tell(name, collected)
    if not collected.indicators:
        raise CannotRunError(f"{file}: nothing in it can be used; nothing was written")
    today = utc_today().isoformat()
    header = ListHeader(
        feed=name,
        kind=collected.kind,
        version=feed.version,
        date=date or feed.date or today,
        imported=today,
        source=source,
        licence=licence,
        confidence=confidence,
    )
    write_list(output or Path(settings.indicators_folder, f"{name}.txt"), render(header, collected.indicators))
    if collected.junk or (strict and collected.refused):
        sys.exit(FOUND)


def _text(file: Path) -> str:
    try:
        data = Files("/").read(str(file.absolute()), MAX_LIST_BYTES + 1)
    except OSError as error:
        raise CannotRunError(str(error)) from None
    if len(data) > MAX_LIST_BYTES:
        raise CannotRunError(f"{file}: larger than {MAX_LIST_BYTES >> 20} MiB")
    return data.decode("utf-8", "replace")


@click.command("update")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--verbose", is_flag=True, help="Also name the entries that were refused.")
@config_option
def update_lists(names: tuple[str, ...], timeout: float, verbose: bool, config: Optional[str]) -> None:
    """Download the maintained public feeds, or those with these NAMEs, and exchange their lists.

    The feeds are those of `feeds:` in the configuration, else Maltrail's pools and MISP's warning lists of CDNs and clouds.
    A feed that is dead, no list, empty, or has lost more than half of its entries is refused and its former list kept.
    Exit 0 = all updated, 1 = some were not, 2 = could not run.
    """
    settings = Settings.from_environment(config)
    feeds = _feeds(settings)
    unknown = set(names) - {feed.name for feed in feeds}
    if unknown:
        raise CannotRunError(f"no feed {min(unknown)!r}; there are: {', '.join(feed.name for feed in feeds)}")
    is_refused = False
    for source in in_order([feed for feed in feeds if not names or feed.name in names]):
        is_refused |= not _updated(source, settings, timeout, NAMED if verbose else 0)
    if is_refused:
        sys.exit(FOUND)


def _feeds(settings: Settings) -> tuple[FeedSource, ...]:
    try:
        return configured_feeds(settings.feeds())
    except FeedsError as error:
        raise CannotRunError(f"config: {settings.config}: {error}") from None
    except TableError as error:
        raise CannotRunError(str(error)) from None


def _updated(source: FeedSource, settings: Settings, timeout: float, named: int) -> bool:
    """Whether the feed's list was exchanged; says what became of it."""
    path = Path(settings.indicators_folder, f"{source.name}.txt")
    try:
        # Read anew for each feed: the lists of shared ranges fetched before decide what this one may hold.
        collected = update(source, path, shared_ranges(settings), utc_today().isoformat(), timeout)
    except RefusedFeedError as error:
        kept = "the former list is kept" if path.exists() else "there is no former list"
        click.echo(f"{source.name}: refused: {clean_text(str(error))} ({kept}; last seen {last_seen(source, path)})")
        return False
    except OSError as error:
        click.echo(f"{source.name}: not updated: {clean_text(str(error))}")
        return False
    tell(source.name, collected, named)
    return True
