"""The osquery deliverables, read by osquery's own rules (osquery/config/{config,packs}.cpp, osquery/database/database.cpp)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from build import osquery_pack
from build.deliver import plain_sql
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host

PACK = load_pack(shipped_pack())
MAX_CONFIG_BYTES = 1024 * 1024
MAX_DEPTH = 32
QUERY_KEYS = {"query", "interval", "snapshot", "removed", "denylist", "platform", "version", "shard", "description", "value"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("osquery")
    osquery_pack.build(folder)
    return folder


def without_comments(text: str) -> str:
    """As osquery strips a configuration before it parses it: whole lines that begin with # or //."""
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(("#", "//"))).replace("\\\n", "")


def depth(value: Any) -> int:
    children = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth, children), default=0)


def read(path: Path) -> Any:
    assert path.stat().st_size < MAX_CONFIG_BYTES
    document = json.loads(without_comments(path.read_text(encoding="utf-8")))
    assert depth(document) < MAX_DEPTH
    return document


def runs(queries: dict[str, dict[str, Any]]) -> list[str]:
    """The names of the queries that osquery on Linux would schedule."""
    scheduled = []
    for name, query in queries.items():
        assert query.keys() <= QUERY_KEYS
        has_name = not name.startswith(("query.", "cache.", "config_views.")) and not name.endswith(("epoch", "counter"))
        has_interval = isinstance(query.get("interval", 3600), int) and 1 <= query.get("interval", 3600) <= 604800
        if has_name and has_interval and "linux" in query.get("platform", "all") and query["query"]:
            scheduled.append(name)
    return scheduled


def test_every_query_of_the_pack_is_scheduled(built: Path) -> None:
    document = read(built / "cryptominer_triage.conf")
    assert document["platform"] == "linux"
    assert re.fullmatch(r"5\.\d+\.\d+", document["version"])
    assert runs(document["queries"]) == [query.name for query in PACK.queries()]


def test_event_packs_hold_each_query_once_and_ask_whether_its_events_are_recorded(built: Path) -> None:
    pack = load_pack(osquery_pack.EVENTS)
    scheduled = []
    engine = EmbeddedEngine(Host())
    for name, entry in pack.discovery.items():
        document = read(built / f"cryptominer_events_{name}.conf")
        assert document["discovery"] == [entry.sql]
        # Nothing records events here, so that nothing would run.
        assert engine.query(entry.sql) == []
        scheduled += runs(document["queries"])
        for body in document["queries"].values():
            assert any(table in body["query"] for table in entry.tables)
    engine.close()
    assert sorted(scheduled) == sorted(query.name for query in pack.queries())


def test_queries_say_what_the_pack_says(built: Path) -> None:
    queries = read(built / "cryptominer_triage.conf")["queries"]
    for query in PACK.queries():
        body = queries[query.name]
        assert (body["interval"], body["snapshot"]) == (query.interval, query.snapshot)
        assert body["query"] == plain_sql(query.sql)
        assert body["denylist"] is False


def test_without_its_comments_sql_means_the_same() -> None:
    engine = EmbeddedEngine(Host())
    for query in PACK.queries():
        programs = [engine.query(f"EXPLAIN {sql}") for sql in (query.sql, plain_sql(query.sql))]
        # Texts and operations; numbers may name the virtual tables' plans, which are made anew for every statement.
        written, plain = ([(step["opcode"], step["p4"]) for step in program] for program in programs)
        assert written == plain, query.name
    engine.close()


def test_comment_lines_alone_are_taken_out() -> None:
    sql = "  -- why\n  SELECT '--donate-level', 1 -- 2\n    FROM t\n  -- more\n"
    assert plain_sql(sql) == "SELECT '--donate-level', 1 -- 2\n  FROM t"


def test_the_configuration_runs_the_pack_with_the_extension(built: Path) -> None:
    configuration = read(built / "osquery.conf")
    assert configuration["packs"] == {"cryptominer_triage": osquery_pack.PACK_PATH}
    assert runs(configuration["schedule"]) == ["minehunt_loaded"]
    flags = dict(line.lstrip("-").split("=", 1) for line in (built / "osquery.flags").read_text().splitlines())
    assert flags["extensions_require"] == "minehunt"
    assert int(flags["extensions_timeout"]) >= 3
    assert flags["extensions_autoload"].startswith("/etc/osquery/")
    assert (flags["logger_rotate"], flags["logger_snapshot_event_type"]) == ("true", "true")
    loaded = (built / "extensions.load").read_text()
    assert re.fullmatch(r"/\S+/minehunt\.ext\n", loaded)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["osquery_pack", str(tmp_path / "missing")])
        assert osquery_pack.main() == 1
    assert str(tmp_path / "missing") in capsys.readouterr().err
