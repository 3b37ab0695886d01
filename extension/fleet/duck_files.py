"""Reads result files into DuckDB: any number of result files into three tables of one database.

`told` has a line per logged row, with keys in place of texts; `contents` each distinct row once; `senders` each distinct host
identifier with its decorations. All is by the rows' own content, so that a line that comes twice changes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from extension.fleet.lines import Reading, rewrite
from extension.fleet.names import Names
from extension.fleet.reading import COUNTER, JSON, ROWS, TEXT, TIME, Loaded, batches, paths, quoted, reader
from extension.fleet.sources import DOCUMENT, LINES, PARQUET, Problem, Source

MEMORY = "1GB"
_NAMED = "stage JOIN names ON name = logged"
_HEARD = "JOIN heard USING (identifier, decorations)"
# Spelt by nearly every line as osquery spells it.
_ACTION = """CASE action WHEN 'added' THEN 'added'::actions WHEN 'removed' THEN 'removed' WHEN 'snapshot' THEN 'snapshot'
    ELSE coalesce(try_cast(lower(action) AS actions), 'other') END"""
_EVENTS = f"(SELECT * FROM {_NAMED} WHERE columns IS NOT NULL)"  # noqa: S608  # SQL of our own making
_RUN = "sender, number, is_read, epoch, counter, unix_time"
# What there was between the first and the last snapshot of a batch is of no account.
_SNAPSHOT_ROWS = f"""
    WITH ends AS (
        SELECT sender, number, unnest([first_time, last_time]) AS unix_time FROM (
            SELECT sender, number, min(unix_time) AS first_time, max(unix_time) AS last_time
            FROM {_NAMED} {_HEARD} WHERE snapshot IS NOT NULL AND is_read GROUP BY ALL))
    SELECT {_RUN}, 'snapshot'::actions AS action, unnest(from_json(snapshot, '["JSON"]')) AS columns
    FROM {_NAMED} {_HEARD} SEMI JOIN ends USING (sender, number, unix_time)
    WHERE snapshot IS NOT NULL AND is_read"""  # noqa: S608  # SQL of our own making
_BATCH_ROWS = f"""
    WITH batches AS (
        SELECT {_RUN}, from_json(diff, '{{"removed": ["JSON"], "added": ["JSON"]}}') AS rows
        FROM {_NAMED} {_HEARD} WHERE diff IS NOT NULL),
    sides AS (
        SELECT {_RUN}, unnest(['removed', 'added'])::actions AS action, unnest([rows.removed, rows.added]) AS side FROM batches)
    SELECT {_RUN}, action, unnest(side) AS columns FROM sides"""  # noqa: S608  # SQL of our own making


class DuckFiles:
    """One database in a temporary folder of its own, gone after `close`."""

    def __init__(self, names: Names, memory: str = MEMORY) -> None:
        self.names = names
        self.folder = Path(tempfile.mkdtemp(prefix="minehunt-fleet-"))
        settings = {"memory_limit": memory, "temp_directory": str(self.folder / "spill"), "preserve_insertion_order": "false"}
        try:
            self.connection = duckdb.connect(":memory:", config=dict(settings))
        except duckdb.Error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self._keeper: Callable[[], int] = self._keep
        self.run("""
            CREATE TYPE actions AS ENUM ('added', 'removed', 'snapshot', 'empty', 'other');
            CREATE TABLE queries (number INTEGER, query VARCHAR);
            CREATE TABLE names (logged VARCHAR, number INTEGER, is_read BOOLEAN);
            CREATE TABLE senders (sender UBIGINT, identifier VARCHAR, decorations JSON);
            CREATE TABLE contents (number INTEGER, row_key UBIGINT, row_json JSON);
            CREATE TABLE told (
                sender UBIGINT, number INTEGER, epoch BIGINT, counter BIGINT, unix_time BIGINT, action actions, row_key UBIGINT
            )""")

    def close(self) -> None:
        """Close the database and remove its folder."""
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, list(values) or None).fetchall()
        return rows

    def load(self, sources: Iterable[Source], progress: Callable[[int], None] = lambda _: None) -> Loaded:
        """Read files, telling `progress` the bytes done after each batch; a broken file or line stops nothing."""
        loaded = Loaded()
        for batch in batches(sources):
            loaded.files += len(batch)
            self._batch(batch, loaded)
            loaded.size += sum(source.size for source in batch)
            progress(loaded.size)
        self.run("DROP TABLE IF EXISTS stage")
        return loaded

    def convert(self, source: Source, folder: Path, name: str) -> Loaded:
        """Write a file's results, as osquery's own lines, into Parquet files `day=…/NAME_….parquet` below `folder`."""
        loaded = Loaded()

        def write() -> int:
            self.run(f"""
                COPY (
                    SELECT name, identifier AS hostIdentifier, unix_time AS unixTime, epoch, counter, action, columns,
                        decorations, snapshot, diff AS diffResults,
                        strftime(make_timestamp(unix_time * 1000000), '%Y-%m-%d') AS day
                    FROM stage WHERE name IS NOT NULL
                ) TO {quoted(str(folder))} (
                    FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day), FILENAME_PATTERN '{name}_{{uuid}}', APPEND
                )""")  # noqa: S608  # SQL of our own making
            return int(self.run("SELECT count(*) FROM stage")[0][0])

        self._keeper, keeper = write, self._keeper
        try:
            self._batch([source], loaded)
        finally:
            self._keeper = keeper
        return loaded

    def _batch(self, batch: list[Source], loaded: Loaded) -> None:
        if batch[0].form == DOCUMENT:
            for source in batch:
                self._slowly(source, loaded)
            return
        try:
            self._stage(self._parquet(batch) if batch[0].form == PARQUET else reader(batch))
        except (duckdb.Error, ValueError) as error:
            if len(batch) > 1:
                for source in batch:
                    self._batch([source], loaded)
            elif batch[0].form == LINES and "://" not in batch[0].path:
                self._slowly(batch[0], loaded)
            else:
                loaded.broken += 1
                loaded.problems.append(Problem(batch[0].path, str(error).splitlines()[0]))
            return
        odd = dict(self.run("SELECT file, count(*) FROM stage WHERE name IS NULL OR no_row GROUP BY file"))
        by_path = {source.path: source for source in batch}
        again = [by_path[path] for path in odd if path in by_path and "://" not in path and batch[0].form == LINES]
        if again:
            self.run("DELETE FROM stage WHERE list_contains(?, file)", [[source.path for source in again]])
        loaded.lines += self._keeper()
        for source in again:
            self._slowly(source, loaded)

    def _parquet(self, batch: Sequence[Source]) -> str:
        """A reader of Parquet files with osquery's columns, whichever of them there are and whatever type they have."""
        files = f"read_parquet({paths(batch)}, filename = true, union_by_name = true, hive_partitioning = false)"
        types = {str(name).lower(): str(kind) for name, kind, *_rest in self.run(f"DESCRIBE SELECT * FROM {files}")}  # noqa: S608
        columns = [f"{name}::VARCHAR AS {name}" if name.lower() in types else f"NULL::VARCHAR AS {name}" for name in TEXT]
        for name in JSON:
            kind = types.get(name.lower(), "")
            told = f"{name}::JSON" if kind in ("JSON", "VARCHAR") else f"to_json({name})" if kind else "NULL::JSON"
            columns.append(f"{told} AS {name}")
        return f"(SELECT {', '.join(columns)}, filename FROM {files})"  # noqa: S608  # column names of our own

    def _slowly(self, source: Source, loaded: Loaded) -> None:
        """Read a file through Python, which understands other forms and names broken lines."""
        reading = Reading()
        rewritten = self.folder / "rewritten.json"
        with rewritten.open("wb") as output:
            rewrite(source, output, reading)
        loaded.lines += reading.lines
        loaded.broken += reading.broken
        loaded.problems += reading.problems
        if rewritten.stat().st_size:
            self._stage(reader([Source(str(rewritten), LINES, "", 0)]))
            lost = reading.results - int(self.run("SELECT count(*) FROM stage WHERE name IS NOT NULL AND NOT no_row")[0][0])
            if lost:
                loaded.broken += lost
                loaded.problems.append(Problem(source.path, f"{lost} results that DuckDB does not read"))
            self._keeper()
        rewritten.unlink()

    def _stage(self, reader: str) -> None:
        self.run(f"""
            CREATE OR REPLACE TEMP TABLE stage AS SELECT *, columns IS NULL AND snapshot IS NULL AND diff IS NULL AS no_row FROM (
                SELECT name, coalesce(hostIdentifier, '') AS identifier, coalesce(decorations, '{{}}') AS decorations,
                    {TIME} AS unix_time, coalesce(try_cast(epoch AS BIGINT), 0) AS epoch, {COUNTER} AS counter, action,
                    {", ".join(f"{sql} AS {name}" for name, sql in ROWS.items())}, filename AS file
                FROM {reader})""")  # noqa: S608  # a reader of our own making

    def _keep(self) -> int:
        """Take what is staged into the tables; the lines that were staged."""
        self._name()
        self.run(f"""
            CREATE OR REPLACE TEMP TABLE heard AS SELECT *, {_key("identifier || decorations")} AS sender
            FROM (SELECT DISTINCT identifier, decorations FROM stage WHERE name IS NOT NULL)""")  # noqa: S608  # SQL of our own making
        self.run("INSERT INTO senders SELECT sender, identifier, decorations FROM heard ANTI JOIN senders USING (sender)")
        has_events, has_snapshots, has_batches, lines = self.run(
            "SELECT count(columns) > 0, count(snapshot) > 0, count(diff) > 0, count(*) FROM stage"
        )[0]
        if has_events:
            self._take(_EVENTS, _HEARD, _ACTION)
        if has_snapshots:
            self.run(f"""
                INSERT INTO told SELECT sender, number, epoch, counter, unix_time,
                    CASE WHEN snapshot LIKE '[{{%' OR json_array_length(snapshot) > 0 THEN 'snapshot' ELSE 'empty' END, NULL
                FROM {_NAMED} {_HEARD} WHERE snapshot IS NOT NULL""")  # noqa: S608  # SQL of our own making
        for has_rows, rows in ((has_snapshots, _SNAPSHOT_ROWS), (has_batches, _BATCH_ROWS)):
            if has_rows:
                self.run(f"CREATE OR REPLACE TEMP TABLE unpacked AS {rows}")
                self._take("unpacked")
        return int(lines)

    def _name(self) -> None:
        """Learn what queries the names in the stage are."""
        sql = "SELECT DISTINCT name FROM stage ANTI JOIN names ON name = logged WHERE name IS NOT NULL"
        logged = [name for (name,) in self.run(sql)]
        if logged:
            bare = [self.names.bare(name) for name in logged]
            self.run("""
                INSERT INTO queries SELECT row_number() OVER (ORDER BY query) + (SELECT count(*) FROM queries), query
                FROM (SELECT DISTINCT unnest(?) AS query) ANTI JOIN queries USING (query)""", [bare])  # fmt: skip
            read = [self.names.has_read_rows(name) for name in bare]
            self.run("""
                INSERT INTO names SELECT logged, number, is_read
                FROM (SELECT unnest(?) AS logged, unnest(?) AS query, unnest(?) AS is_read) JOIN queries USING (query)""",
                [logged, bare, read])  # fmt: skip

    def _take(self, rows: str, senders: str = "", action: str = "action") -> None:
        """Take rows; what is the same on many hosts is hashed once a batch, and met by its text.

        Of queries whose rows nobody reads, only when they were reported.
        """
        self.run(f"""
            CREATE OR REPLACE TEMP TABLE fresh AS SELECT number, columns, {_key("columns")} AS row_key
            FROM (SELECT DISTINCT number, columns FROM {rows} WHERE is_read AND columns IS NOT NULL)""")  # noqa: S608
        self.run("INSERT INTO contents SELECT number, row_key, columns FROM fresh ANTI JOIN contents USING (number, row_key)")
        self.run(f"""
            INSERT INTO told SELECT sender, number, epoch, counter, unix_time, {action}, row_key
            FROM {rows} LEFT JOIN fresh USING (number, columns) {senders}
            WHERE row_key IS NOT NULL OR NOT is_read""")  # noqa: S608  # SQL of our own making


def _key(text: str) -> str:
    """SQL for a number that nobody finds a second text for."""
    return f"(md5_number({text}) >> 64)::UBIGINT"
