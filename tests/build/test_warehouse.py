"""The models as SQL: run on DuckDB and on ClickHouse (chdb) with the answers of `minehunt fleet`; the others are parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ibis", reason="the models need Python 3.10 and minehunt[fleet]")

import duckdb
import sqlglot

from build import warehouse
from extension.fleet.duck_files import DuckFiles
from extension.fleet.fleet_view import look
from extension.fleet.names import Names
from extension.fleet.sources import discover
from extension.pack.model import load_pack, shipped_pack
from tests.fleet.logs import write
from tests.fleet.simulate import fleet

Rows = list[tuple[Any, ...]]
_ASKED = {
    "findings": "SELECT host, query, exe_path, command FROM minehunt_findings",
    "shared": "SELECT kind, value, hosts, hosts_without FROM minehunt_shared",
    "rare": "SELECT kind, text, hosts, first_time FROM minehunt_rare",
    "coverage": "SELECT host, first_time, last_time, queries, lost FROM minehunt_coverage",
    "state": "SELECT host, query, count(*) FROM minehunt_state GROUP BY host, query",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """The results of a small fleet as a Parquet file of the raw table, and the state that `minehunt fleet` makes of them."""
    folder = tmp_path_factory.mktemp("warehouse")
    hosts, truth = fleet(60, 7)
    write(folder / "logs", hosts, 7, truth, beat=43200)
    results = DuckFiles(Names.of(load_pack(shipped_pack())))
    try:
        results.load(discover([str(folder / "logs" / "*.log*")])[0])
        engine = results.ready()
        ground = look(engine, results.names).ground
        state = engine.fetch(ground.state.group_by("host", "query").agg(rows=ground.state.count()))
        # Spark unpacks by libraries of the machine's own.
        results.run(f"""
            COPY (SELECT host::VARCHAR AS host, query::VARCHAR AS query, epoch, counter, unix_time, action::VARCHAR AS action,
                    row_key::VARCHAR AS row_key, row_json::VARCHAR AS text
                FROM told JOIN numbered USING (number) JOIN owners USING (sender) LEFT JOIN contents USING (number, row_key)
                WHERE row_key IS NOT NULL OR action = 'empty')
            TO '{folder}/raw.parquet' (FORMAT parquet, COMPRESSION uncompressed)""")
    finally:
        results.close()
    return folder / "raw.parquet", sorted((row["host"], row["query"], row["rows"]) for row in state)


def _duckdb(raw: Path) -> dict[str, Rows]:
    connection = duckdb.connect()
    connection.execute(f"""
        CREATE TABLE osquery_results AS
        SELECT * EXCLUDE (text), from_json(text, '"MAP(VARCHAR, VARCHAR)"') AS columns FROM read_parquet('{raw}')""")
    for sql in warehouse.compiled("duckdb").values():
        connection.execute(sql)
    return {name: sorted(connection.execute(sql).fetchall()) for name, sql in _ASKED.items()}


@pytest.fixture(scope="module")
def answers(small: tuple[Path, Rows]) -> dict[str, Rows]:
    return _duckdb(small[0])


def test_duckdb_has_the_state_that_the_fleet_view_has(small: tuple[Path, Rows], answers: dict[str, Rows]) -> None:
    assert answers["state"] == small[1]
    assert any(query == "miner_process" for _host, query, _path, _command in answers["findings"])
    assert any(kind == "hash" and hosts > 2 and not without for kind, _value, hosts, without in answers["shared"])
    assert any("host-telemetry" in text and hosts == 3 for _kind, text, hosts, _first in answers["rare"])
    assert len(answers["coverage"]) == 60


def test_clickhouse_says_the_same(small: tuple[Path, Rows], answers: dict[str, Rows]) -> None:
    chdb = pytest.importorskip("chdb.session", reason="chdb, ClickHouse in a process, is half a gigabyte: pip install chdb")
    session = chdb.Session()
    try:
        session.query(f"""
            CREATE TABLE osquery_results ENGINE = MergeTree ORDER BY tuple() AS
            SELECT assumeNotNull(host) AS host, assumeNotNull(query) AS query, assumeNotNull(epoch) AS epoch,
                assumeNotNull(counter) AS counter, assumeNotNull(unix_time) AS unix_time, assumeNotNull(action) AS action,
                row_key, CAST(JSONExtract(ifNull(text, '{{}}'), 'Map(String, String)'), 'Map(String, String)') AS columns
            FROM file('{small[0]}', Parquet)""")
        for sql in warehouse.compiled("clickhouse").values():
            session.query(sql)
        for name, sql in _ASKED.items():
            told = str(session.query(sql, "JSONCompactEachRow"))
            found = sorted(tuple(_number(value) for value in json.loads(line)) for line in told.splitlines())
            assert found == [tuple(_number(value) for value in row) for row in answers[name]], name
    finally:
        session.close()


def _number(value: Any) -> Any:
    """ClickHouse prints numbers of 64 bits as texts."""
    return str(value) if isinstance(value, int) else value


def test_spark_says_the_same(small: tuple[Path, Rows], answers: dict[str, Rows]) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is half a gigabyte and needs Java 17: pip install 'minehunt[spark]'")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    # Two hundred parts of a view of views are more than the memory that Java takes by itself.
    session = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.memory", "2g").getOrCreate()
    try:
        frame = session.read.parquet(str(small[0]))
        frame = frame.selectExpr("* EXCEPT (text)", "from_json(text, 'MAP<STRING, STRING>') AS columns").createOrReplaceTempView(
            "osquery_results"
        )
        for statement in warehouse.compiled("pyspark").values():
            session.sql(statement.replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMPORARY VIEW", 1))
        for name, asked in _ASKED.items():
            assert sorted(tuple(row) for row in session.sql(asked).collect()) == answers[name], name
    finally:
        session.stop()


def test_every_file_is_one_statement_of_its_engine(tmp_path: Path) -> None:
    warehouse.build(tmp_path)
    for folder, dialect in warehouse.DIALECTS.items():
        files = sorted((tmp_path / folder).glob("*.sql"))
        assert [file.name[3:-4] for file in files] == list(warehouse.compiled(dialect))
        for file in files:
            (statement,) = sqlglot.parse(file.read_text(), read={"pyspark": "spark"}.get(dialect, dialect))
            assert isinstance(statement, sqlglot.exp.Create), file
    readme = (tmp_path / "README.md").read_text()
    assert all(f"| {folder} | parsed, not run |" in readme for folder in ("snowflake", "bigquery", "trino"))
