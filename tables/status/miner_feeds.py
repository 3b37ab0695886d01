"""The indicator lists in force, each with its date and age: what the SOP's regular review looks at."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.indicators.pools import pool_indicators
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class MinerFeed(Row):
    """One list in force."""

    feed: str = column(TEXT, "name of the list: as its header has it, else the file's")
    version: Optional[str] = column(TEXT, "version, where the list names one")
    path: Optional[str] = column(TEXT, "file that holds it; empty for a list that is built in")
    kind: str = column(TEXT, "pools, or shared: address ranges of CDNs and clouds, which weaken a match")
    entries: int = column(BIGINT, "indicators in it")
    list_date: Optional[str] = column(TEXT, "day of the data, YYYY-MM-DD (of a file without a date: of its last change)")
    imported_date: Optional[str] = column(TEXT, "day on which `minehunt intel` last took it from its source, YYYY-MM-DD")
    age_days: Optional[int] = column(
        BIGINT, "whole days (UTC) since list_date, for the kind shared since imported_date if later; changes with every day"
    )
    licence: Optional[str] = column(TEXT, "licence of the data")
    source_url: Optional[str] = column(TEXT, "where the list comes from")
    confidence: Optional[str] = column(TEXT, "how far a match with it speaks of mining; empty where each entry says so itself")
    is_custom: int = column(BIGINT, "1 for one of the operator's lists, 0 for one that is built in")
    sha256: str = column(TEXT, "SHA-256 of the file")


@table(
    "miner_feeds",
    MinerFeed,
    description="The indicator lists in force, built-in ones included, with version, date, age, licence and source.",
    sop_steps=(18,),
    examples=["SELECT feed, path, entries, list_date, age_days FROM miner_feeds WHERE age_days > 90"],
    cache_seconds=0.0,
)
def miner_feeds(host: Host, query: QueryContext) -> Iterator[MinerFeed]:
    """One row per list: those of the program, those the configuration names, indicators.d/ beside it, the command line's.

    A list that cannot be read, is writable by others, or is malformed fails the query with the file's name (and line).
    """
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for found in pool_indicators(host).lists:
        header = found.header
        yield MinerFeed(
            feed=header.feed or "",
            version=header.version,
            path=found.path,
            kind=header.kind,
            entries=sum(found.counts.values()),
            list_date=header.date,
            imported_date=header.imported,
            age_days=found.age_days(today),
            licence=header.licence,
            source_url=header.source,
            confidence=header.confidence,
            is_custom=found.path is not None,
            sha256=found.sha256,
        )
