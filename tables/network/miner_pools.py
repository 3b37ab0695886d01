"""The mining pool indicators in force: the built-in list and the operator's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.indicators.pools import pool_indicators
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table


@dataclass(frozen=True)
class MinerPool(Row):
    """One indicator."""

    indicator: str = column(TEXT, "domain (names below it match too), IP address, or address range")
    indicator_type: str = column(TEXT, "domain, ip or cidr")
    pool: Optional[str] = column(TEXT, "pool, where the list names it")
    coin: Optional[str] = column(TEXT, "coin mined there; `any` for pools of several")
    ports: Optional[str] = column(
        TEXT, "ports, comma-separated: of an ip the one port that matches (empty: any), of a domain the ports usually served"
    )
    confidence: str = column(TEXT, "how far a connection there speaks of mining: high, medium or low")
    source: str = column(TEXT, "list that it comes from; for one of the operator's the path of the file")
    updated: str = column(TEXT, "date of that list, YYYY-MM-DD")
    is_custom: int = column(BIGINT, "1 if it comes from the operator's lists, 0 if it is built in")


@table(
    "miner_pools",
    MinerPool,
    description="Mining pools that minehunt knows: domains, addresses with ports, and address ranges, each with source and date.",
    sop_steps=(3, 8),
    examples=["SELECT pool, indicator, ports, updated FROM miner_pools WHERE indicator_type = 'domain' ORDER BY pool"],
    cache_seconds=0.0,
    max_rows=200_000,
)
def miner_pools(host: Host, query: QueryContext) -> Iterator[MinerPool]:
    """One row per indicator that `miner_pool_connections` matches with.

    Built in: tables/indicators/data/pools.yaml. The operator's own: the files named in the configuration, in indicators.d/
    beside it and on the command line. An indicator in several lists is one row, as the last list has it. A list that
    cannot be read, is writable by others, or has a malformed line fails the query with the file's name (and line).
    """
    for indicator, listed in pool_indicators(host):
        if indicator.network is None:
            kind = "domain"
            ports = ",".join(map(str, listed.ports))
        else:
            kind = "ip" if indicator.network.is_address else "cidr"
            ports = str(indicator.port or "")
        yield MinerPool(
            indicator=indicator.domain or str(indicator.network),
            indicator_type=kind,
            pool=listed.pool,
            coin=listed.coin,
            ports=ports,
            confidence=listed.confidence,
            source=listed.source,
            updated=listed.updated,
            is_custom=listed.is_custom,
        )
