"""The lists in force as a table, with the age that the policy on stale lists looks at."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tests.support.connections import host_with_list

POLICY = next(query for query in load_pack(shipped_pack()).queries() if query.name == "miner_feeds_current")


def days_ago(days: int) -> str:
    return (datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days)).isoformat()


def test_shows_the_built_in_lists() -> None:
    rows = EmbeddedEngine(Host()).query("SELECT * FROM miner_feeds")
    assert [row["feed"] for row in rows] == [
        "built-in pools",
        "built-in cloudflare",
        "built-in fastly",
        "built-in akamai",
        "built-in bunny",
        "built-in github",
        "built-in telegram",
    ]
    assert {row["is_custom"] for row in rows} == {"0"} and {row["path"] for row in rows} == {""}
    assert all(int(row["entries"]) > 5 and row["list_date"] and row["licence"] and row["source_url"] for row in rows)


def test_shows_an_imported_list_with_all_that_its_header_says(tmp_path: Path) -> None:
    host = host_with_list(
        tmp_path,
        "# feed: ours",
        "# date: " + days_ago(100),
        "# imported: " + days_ago(1),
        "# version: 7",
        "# licence: MIT",
        "# source: https://x.example/l",
        "# confidence: low",
        "192.0.2.1:3333",
        "pool.evil.example",
    )
    (row,) = EmbeddedEngine(host).query("SELECT * FROM miner_feeds WHERE is_custom = 1")
    path = tmp_path / "pools.txt"
    expected = {
        "feed": "ours",
        "version": "7",
        "path": str(path),
        "kind": "pools",
        "entries": "2",
        "list_date": days_ago(100),
        "imported_date": days_ago(1),
        "licence": "MIT",
        "source_url": "https://x.example/l",
        "confidence": "low",
        "is_custom": "1",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert expected.items() <= row.items()
    assert row["age_days"] in ("100", "101")


def test_the_policy_passes_with_a_list_of_today_and_fails_with_a_forgotten_one(tmp_path: Path) -> None:
    fresh = EmbeddedEngine(host_with_list(tmp_path, f"# date: {days_ago(0)}", "192.0.2.1"))
    assert [row["lists"] for row in fresh.query(POLICY.sql)] == ["1"]
    stale = EmbeddedEngine(host_with_list(tmp_path, f"# date: {days_ago(92)}", "192.0.2.1"))
    assert stale.query(POLICY.sql) == []


def test_a_malformed_header_fails_the_query_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"pools\.txt, line 1: date must be a day"):
        EmbeddedEngine(host_with_list(tmp_path, "# date: soon", "192.0.2.1")).query("SELECT * FROM miner_feeds")
