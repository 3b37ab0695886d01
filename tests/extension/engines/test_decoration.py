"""Queries that only say more by live tables are asked of a mounted disk, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.decoration import decorating_tables
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tests.support.planted_files import plant


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM a LEFT JOIN b ON a.x = b.x", {"b"}),
        ("SELECT * FROM a JOIN b USING (x)", set()),
        ("SELECT * FROM a LEFT JOIN b USING (x) WHERE a.y IN (SELECT y FROM b)", set()),
        ("WITH c AS (SELECT * FROM a LEFT JOIN b USING (x)) SELECT * FROM c LEFT JOIN d USING (y)", {"b", "d"}),
        ("SELECT * FROM (", set()),
    ],
)
def test_what_stands_at_the_right_of_a_left_join_alone(sql: str, tables: set[str]) -> None:
    assert decorating_tables(sql) & {"a", "b", "d"} == tables


def test_a_preloaded_library_and_a_miner_s_configuration_alert_from_a_mounted_disk(tmp_path: Path) -> None:
    plant(tmp_path, "/var/lib/dpkg/info/base.list", "/.\n")
    plant(tmp_path, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    plant(tmp_path, "/etc/ld.so.preload", "/usr/lib/libk.so\n")
    plant(tmp_path, "/usr/lib/libk.so", b"\x7fELF")
    plant(tmp_path, "/opt/x/config.json", '{"algo": "rx/0", "pools": [{"url": "stratum+tcp://pool.example:3333", "user": "w"}]}')
    (tmp_path / "opt/x").rename(tmp_path / "opt/.x")
    engine = EmbeddedEngine(Host(str(tmp_path)))
    queries = {query.name: query.sql for query in load_pack(shipped_pack()).queries()}
    for name, column, value in (
        ("preloaded_library", "path", "/usr/lib/libk.so"),
        ("miner_config_file", "config_path", "/opt/.x/config.json"),
    ):
        assert engine.inapplicable(queries[name]) is None
        (row,) = engine.query(queries[name])
        assert row[column] == value and row.get("pid", "") == ""
    assert "process_tree" in (engine.inapplicable("SELECT * FROM process_tree") or "")
    with pytest.raises(EngineError, match="running system"):
        engine.query("SELECT * FROM process_tree")
