"""The feeds that `update` keeps: which there are, and the exchange of a list for what its feed holds today."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from extension.intel.collect import Collected, collect
from extension.intel.formats import FORMATS, FormatError, read_feed
from extension.intel.in_force import read_lines
from extension.intel.normalise import is_web_address
from extension.intel.ranges import RangeSet
from extension.intel.store import is_list_name, render, write
from tables.host.disk.files import Unreadable
from tables.indicators.pool_lists import (
    CONFIDENCES,
    KINDS,
    POOLS,
    SHARED,
    ListHeader,
    ignore,
    parse_date,
    parse_header,
)

# Below this part of the entries that the list had, a feed is taken for broken.
_LEAST_PART = 0.5
_RAW = "https://raw.githubusercontent.com"


class FeedSource(NamedTuple):
    """Where a feed is found; `last_seen` is the ISO day on which somebody last saw it maintained."""

    name: str
    url: str
    licence: str
    last_seen: str
    kind: str = POOLS
    form: str = "auto"
    confidence: str = "medium"


def _warning_list(name: str, last_seen: str) -> FeedSource:
    url = f"{_RAW}/MISP/misp-warninglists/main/lists/{name}/list.json"
    return FeedSource(name, url, "CC0-1.0", last_seen, SHARED, "misp", "high")


DEFAULT_FEEDS = (
    FeedSource(
        "maltrail-crypto-mining",
        f"{_RAW}/stamparm/maltrail/master/trails/static/suspicious/crypto_mining.txt",
        "MIT",
        "2026-08-16",
        form="maltrail",
    ),
    *(
        _warning_list(name, "2026-08-20")
        for name in ("akamai", "amazon-aws", "bunny-net", "cloudflare", "fastly", "google-gcp", "microsoft-azure", "oracle-oci")
    ),
)


class FeedsError(ValueError):
    """`feeds:` of the configuration is not valid; the message says why."""


class RefusedFeedError(Exception):
    """The feed is dead, broken or shrunken, and the former list was kept; the message says why."""


def configured_feeds(configured: Any) -> tuple[FeedSource, ...]:
    """The feeds of the configuration's `feeds:`, else the default ones; FeedsError names the entry that is not valid."""
    if configured is None:
        return DEFAULT_FEEDS
    if not isinstance(configured, list):
        raise FeedsError("feeds must be a list of mappings")
    feeds = [_source(number, entry) for number, entry in enumerate(configured, 1)]
    names = [feed.name for feed in feeds]
    for name in names:
        if names.count(name) > 1:
            raise FeedsError(f"two feeds have the name {name!r}")
    return tuple(feeds)


def _source(number: int, entry: Any) -> FeedSource:
    known = {"format" if field == "form" else field for field in FeedSource._fields}
    if not isinstance(entry, dict) or not known.issuperset(entry):
        raise FeedsError(f"feed {number} must be a mapping with the keys {', '.join(sorted(known))}")
    # YAML reads an unquoted day as a date.
    values = {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in entry.items()}
    missing = {"name", "url", "licence", "last_seen"} - values.keys()
    if missing:
        raise FeedsError(f"feed {number} lacks {', '.join(sorted(missing))}")
    if not all(isinstance(value, str) for value in values.values()):
        raise FeedsError(f"feed {number}: every value must be a text")
    values["form"] = values.pop("format", "auto")
    feed = FeedSource(**values)
    problem = (
        (not is_list_name(feed.name) and f"{feed.name!r} cannot be the name of a file")
        or (not is_web_address(feed.url) and f"{feed.url!r} is no http or https address")
        or (parse_date(feed.last_seen) is None and "last_seen must be a day, YYYY-MM-DD")
        or (feed.kind not in KINDS and f"kind must be one of {', '.join(KINDS)}")
        or (feed.form not in FORMATS and f"format must be one of {', '.join(FORMATS)}")
        or (feed.confidence not in CONFIDENCES and f"confidence must be one of {', '.join(CONFIDENCES)}")
    )
    if problem:
        raise FeedsError(f"feed {number}: {problem}")
    return feed


def update(source: FeedSource, path: Path, shared: RangeSet, today: str, timeout: float) -> Collected:
    """Fetch the feed and exchange the list at `path` for it; RefusedFeedError, the list being kept, when it is no good.

    Raises OSError when the list cannot be written.
    """
    from extension.intel.download import DownloadError, download  # The network is of no concern to the other commands.

    try:
        fetched = download(source.url, timeout)
        feed = read_feed(fetched.text, source.form)
    except (DownloadError, FormatError) as error:
        raise RefusedFeedError(str(error)) from None
    collected = collect(feed, source.kind, shared)
    entries = list(map(str, collected.indicators))
    former = former_list(path)
    if not entries:
        raise RefusedFeedError("nothing in it can be used")
    if former is not None and len(entries) < len(former.entries) * _LEAST_PART:
        raise RefusedFeedError(f"shrunken from {len(former.entries)} entries to {len(entries)}; remove {path} to accept that")
    # A feed that nobody tends any more is still there every day; its list shall age.
    unchanged = former.header.date if former is not None and former.entries == entries else None
    header = ListHeader(
        feed=source.name,
        kind=source.kind,
        version=feed.version,
        date=feed.date or fetched.modified or unchanged or today,
        imported=today,
        source=source.url,
        licence=source.licence,
        confidence=source.confidence,
    )
    write(path, render(header, collected.indicators))
    return collected


class FormerList(NamedTuple):
    """The list that an update would exchange."""

    header: ListHeader
    entries: list[str]


def former_list(path: Path) -> Optional[FormerList]:
    """The list at `path`; None when there is none, OSError when it cannot be read."""
    try:
        lines = read_lines(str(path.absolute()))
    except Unreadable as error:
        if error.is_missing:
            return None
        raise
    entries = [line.partition("#")[0].strip() for line in lines]
    return FormerList(parse_header(lines, ignore), list(filter(None, entries)))


def last_seen(source: FeedSource, path: Path) -> str:
    """The ISO day on which the feed was last fetched into `path`, or else was last known to be maintained."""
    try:
        former = former_list(path)
    except OSError:
        return source.last_seen
    return (former.header.imported if former else None) or source.last_seen


def in_order(feeds: Sequence[FeedSource]) -> list[FeedSource]:
    """The feeds in the order of their fetching: pool lists last, since the shared ranges decide what of them is refused."""
    return sorted(feeds, key=lambda feed: feed.kind != SHARED)
