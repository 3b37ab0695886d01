"""The indicator list as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.connections import host_with_list


def test_shows_the_built_in_list_and_the_operators_own(tmp_path: Path) -> None:
    host = host_with_list(
        tmp_path, "pool.example.com", "192.0.2.1:3333", "[2001:db8::1]:4444", "192.0.2.2", "198.51.100.0/24  # a range"
    )
    engine = EmbeddedEngine(host)
    rows = engine.query("SELECT indicator, indicator_type, ports, pool, confidence, source FROM miner_pools WHERE is_custom = 1")
    shown = {(row["indicator"], row["indicator_type"], row["ports"]) for row in rows}
    assert shown == {
        ("pool.example.com", "domain", ""),
        ("192.0.2.1", "ip", "3333"),
        ("2001:db8::1", "ip", "4444"),
        ("192.0.2.2", "ip", ""),
        ("198.51.100.0/24", "cidr", ""),
    }
    assert {(row["confidence"], row["source"]) for row in rows} == {("high", str(tmp_path / "pools.txt"))}
    known = engine.query("SELECT * FROM miner_pools WHERE indicator = 'nanopool.org'")
    assert [(row["pool"], row["coin"], row["is_custom"]) for row in known] == [("Nanopool", "XMR", "0")]
    assert known[0]["ports"].split(",")[0] == "14444" and known[0]["updated"] > "2026-01-01"


def test_every_row_says_where_and_when_it_is_from() -> None:
    engine = EmbeddedEngine(Host())
    assert engine.query("SELECT * FROM miner_pools WHERE source = '' OR updated = '' OR confidence = ''") == []
    counts = engine.query(
        "SELECT indicator_type, count(*) AS n, count(DISTINCT indicator || ':' || ports) AS d "
        "FROM miner_pools GROUP BY indicator_type"
    )
    assert {row["indicator_type"] for row in counts} == {"domain", "ip"}
    assert all(row["n"] == row["d"] for row in counts)


def test_a_malformed_list_fails_the_query_with_file_and_line(tmp_path: Path) -> None:
    engine = EmbeddedEngine(host_with_list(tmp_path, "192.0.2.1", "what is this?"))
    for name in ("miner_pools", "miner_pool_connections"):
        with pytest.raises(EngineError, match=rf"{name}: indicators: .*pools\.txt, line 2: .*'what is this\?'"):
            engine.query(f"SELECT * FROM {name}")
