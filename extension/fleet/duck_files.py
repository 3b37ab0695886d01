"""Reads result files into DuckDB: any number of result files into three tables of one database.

`told` has a line per logged row, with keys in place of texts; `contents` each distinct row once; `senders` each distinct host
identifier with its decorations. All is by the rows' own content, so that a line that comes twice changes nothing.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from extension.fleet import staged
from extension.fleet.duck_tables import keep_tables
from extension.fleet.lines import Reading, rewrite
from extension.fleet.names import Names
from extension.fleet.open_engine import EngineRefusedError
from extension.fleet.reading import ANY, JSON, PLAIN, ROWS, TEXT, Loaded, batches, paths, quoted, reader
from extension.fleet.sources import DOCUMENT, LINES, PARQUET, Problem, Source
from extension.fleet.statements import Rows, Statements

if TYPE_CHECKING:
    from extension.fleet.duck import Duck

MEMORY = "1GB"
_HTTP = ("http://", "https://")
# DuckDB downloads the extension where it can, as it does by itself.
_HTTPFS = ("INSTALL httpfs", "LOAD httpfs")
_HTTPFS_HELP = (
    "fetch the file and name that, or let DuckDB install it (python3 -c 'import duckdb; duckdb.sql(\"INSTALL httpfs\")')"
)


class DuckFiles:
    """One database in a temporary folder of its own, gone after `close`."""

    def __init__(self, names: Names, memory: str = MEMORY) -> None:
        self.names = names
        # Goes by itself where an interrupt comes before `close` is anybody's duty.
        self._temporary = tempfile.TemporaryDirectory(prefix="minehunt-fleet-")
        self.folder = Path(self._temporary.name)
        settings = {"memory_limit": memory, "temp_directory": str(self.folder / "spill"), "preserve_insertion_order": "false"}
        self.connection = duckdb.connect(":memory:", config=dict(settings))
        self.statements = Statements(self.connection)
        self._keeper: Callable[[], None] = self._keep
        self._progress: Callable[[int], None] = lambda _: None
        self._is_plain = True
        self._is_top_level = False
        self.run("""
            CREATE TYPE actions AS ENUM ('added', 'removed', 'snapshot', 'empty', 'other');
            CREATE TABLE queries (number INTEGER, query VARCHAR);
            CREATE TABLE names (logged VARCHAR, number INTEGER, is_read BOOLEAN, has_history BOOLEAN);
            CREATE VIEW histories AS SELECT DISTINCT number FROM names WHERE has_history;
            CREATE TABLE senders (sender UBIGINT, identifier VARCHAR, decorations JSON);
            CREATE TABLE contents (number INTEGER, row_key UBIGINT, row_json JSON);
            CREATE TABLE told (
                sender UBIGINT, number INTEGER, epoch BIGINT, counter BIGINT, unix_time BIGINT, action actions, row_key UBIGINT
            )""")

    def close(self) -> None:
        """End what is running, and close the database and remove its folder beside what the caller does next."""
        self.statements.close()
        # To free hundreds of megabytes takes a while.
        threading.Thread(target=self._free).start()

    def _free(self) -> None:
        self.connection.close()
        self._temporary.cleanup()

    def run(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement."""
        return self.statements.ask(sql, values)()

    def has_results(self) -> bool:
        """Whether anything was loaded."""
        return bool(self.run("SELECT count(*) FROM told")[0][0])

    def ready(self) -> Duck:
        """The engine, with the tables of its contract made from what was loaded."""
        # Ibis takes as long to import as many a file to read.
        from extension.fleet.duck import Duck

        return Duck(self)

    def load(self, sources: Iterable[Source], progress: Callable[[int], None] = lambda _: None) -> Loaded:
        """Read files, telling `progress` the bytes read after each batch; a broken file or line stops nothing."""
        loaded = Loaded()
        self._progress = progress
        for batch in batches(sources):
            loaded.files += len(batch)
            self._batch(batch, loaded)
        self.run("DROP TABLE IF EXISTS stage")
        loaded.problems += self._renamed()
        keep_tables(self.statements)
        return loaded

    def convert(self, source: Source, folder: Path, name: str) -> Loaded:
        """Write a file's results, as osquery's own lines, into Parquet files `day=…/NAME_….parquet` below `folder`."""
        loaded = Loaded()

        def write() -> None:
            self.run(f"""
                COPY (
                    SELECT name, identifier AS hostIdentifier, unix_time AS unixTime, epoch, counter, action, columns,
                        decorations, snapshot, diff AS diffResults,
                        strftime(make_timestamp(unix_time * 1000000), '%Y-%m-%d') AS day
                    FROM (SELECT name, epoch, action, columns, snapshot, diff, unnest(lines, recursive := true) FROM stage
                        WHERE name IS NOT NULL)
                    JOIN (SELECT sent_by, identifier, decorations FROM stage WHERE sent_by IS NOT NULL) USING (sent_by)
                ) TO {quoted(str(folder))} (
                    FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day), FILENAME_PATTERN '{name}_{{uuid}}', APPEND
                )""")  # noqa: S608  # SQL of our own making

        self._keeper, keeper = write, self._keeper
        try:
            self._batch([source], loaded)
        finally:
            self._keeper = keeper
        return loaded

    def _batch(self, batch: list[Source], loaded: Loaded) -> None:
        far = next((source.path for source in batch if source.path.startswith(_HTTP)), None)
        if far:
            self._load_httpfs(far)
        if batch[0].form == DOCUMENT:
            for source in batch:
                self._slowly(source, loaded)
                self._tell([source], loaded)
            return
        again: list[Source] = []
        try:
            if batch[0].form == PARQUET:
                self._stage(self._parquet(batch))
            else:
                self._stage_lines(batch)
                odd = [batch[number] for (number,) in self.run("SELECT DISTINCT odd FROM stage WHERE odd IS NOT NULL")]
                again = [source for source in odd if not source.is_remote]
                rest = [source for source in batch if source not in again]
                if again and rest:
                    self._stage_lines(rest)
        except (duckdb.Error, ValueError) as error:
            if len(batch) > 1:
                half = len(batch) // 2
                self._batch(batch[:half], loaded)
                self._batch(batch[half:], loaded)
                return
            if batch[0].form == LINES and not batch[0].is_remote:
                self._slowly(batch[0], loaded)
            else:
                loaded.broken += 1
                loaded.problems.append(Problem(batch[0].path, str(error).splitlines()[0]))
            self._tell(batch, loaded)
            return
        self._tell(batch, loaded)
        if len(again) < len(batch):
            loaded.lines += self._lines()
            self._keeper()
        for source in again:
            self._slowly(source, loaded)

    def _load_httpfs(self, path: str) -> None:
        """Have DuckDB read URLs; EngineRefusedError names the one that it cannot read."""
        try:
            for sql in _HTTPFS:
                self.run(sql)
        except duckdb.Error:
            why = f"DuckDB reads this with its extension httpfs, which is not here: {_HTTPFS_HELP}"
            raise EngineRefusedError(f"{path}: {why}") from None

    def _tell(self, read: Sequence[Source], loaded: Loaded) -> None:
        loaded.size += sum(source.size for source in read)
        self._progress(loaded.size)

    def _lines(self, condition: str = "true") -> int:
        """How many lines are staged."""
        return int(self.run(f"SELECT coalesce(sum(len(lines)), 0) FROM stage WHERE {condition}")[0][0])  # noqa: S608

    def _parquet(self, batch: Sequence[Source]) -> str:
        """A reader of Parquet files with osquery's columns, whichever of them there are and whatever type they have."""
        files = f"read_parquet({paths(batch)}, union_by_name = true, hive_partitioning = false)"
        types = {str(name).lower(): str(kind) for name, kind, *_rest in self.run(f"DESCRIBE SELECT * FROM {files}")}  # noqa: S608
        columns = [f"{name}::VARCHAR AS {name}" if name.lower() in types else f"NULL::VARCHAR AS {name}" for name in TEXT]
        for name in JSON:
            kind = types.get(name.lower(), "")
            told = f"{name}::JSON" if kind in ("JSON", "VARCHAR") else f"to_json({name})" if kind else "NULL::JSON"
            columns.append(f"{told} AS {name}")
        return f"(SELECT {', '.join(columns)}, file_index FROM {files})"  # noqa: S608  # column names of our own

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
            self._stage(reader([Source(str(rewritten), LINES, "", 0)], is_top_level=True))
            lost = reading.results - self._lines("odd IS NULL")
            if lost:
                loaded.broken += lost
                loaded.problems.append(Problem(source.path, f"{lost} results that DuckDB does not read"))
            self._keeper()
        rewritten.unlink()

    def _stage_lines(self, batch: list[Source]) -> None:
        if self._is_plain:
            self._stage(reader(batch, is_plain=True, is_top_level=self._is_top_level), PLAIN)
            # Whatever wrote these wrote more of the kind.
            self._is_plain = not self.run("SELECT count(*) FROM stage WHERE name IS NOT NULL AND NOT is_plain")[0][0]
        if not self._is_plain:
            self._stage(reader(batch, is_top_level=self._is_top_level))
        bare = "SELECT count(*) FROM stage WHERE sent_by IS NOT NULL AND decorations = '{}'"
        if not self._is_top_level and self.run(bare)[0][0]:
            self._is_top_level = True
            self._stage_lines(batch)

    def _stage(self, reader: str, numbers: Mapping[str, str] = ANY) -> None:
        # Not replaced, which would keep the last batch until this one is read.
        self.run("DROP TABLE IF EXISTS stage")
        lines = f"""
            SELECT name, coalesce(hostIdentifier, '') AS identifier, coalesce(decorations, '{{}}') AS decorations,
                {", ".join(f"{sql} AS {name}" for name, sql in {**numbers, **ROWS}.items())}, action, file_index AS file
            FROM {reader}"""  # noqa: S608  # a reader of our own making
        self.run(f"CREATE TEMP TABLE stage AS {staged.gather(lines)}")

    def _keep(self) -> None:
        """Take what is staged into the tables."""
        self._name()
        # A quick hash will do: whoever could find two senders of one can as well call itself another host.
        self.run(f"""
            CREATE OR REPLACE TEMP TABLE heard AS
            SELECT sent_by, identifier, decorations, {staged.key("identifier || decorations")} AS sender
            FROM stage WHERE sent_by IS NOT NULL""")  # noqa: S608  # SQL of our own making
        self.run("INSERT INTO senders SELECT sender, identifier, decorations FROM heard ANTI JOIN senders USING (sender)")
        has_events, has_snapshots, has_batches = self.run(
            "SELECT count(columns) > 0, count(snapshot) > 0, count(diff) > 0 FROM stage"
        )[0]
        if has_events:
            staged.take_events(self.run)
        if has_snapshots:
            staged.take_snapshots(self.run)
        if has_batches:
            staged.take_batches(self.run)

    def _renamed(self) -> list[Problem]:
        """Packs of other names with queries that are called as ours are."""
        logged = [name for (name,) in self.run("SELECT logged FROM names JOIN queries ON logged = query ORDER BY logged")]
        packs = {before for name in logged if (before := self.names.stands_in(name)) is not None}
        why = "queries of minehunt's pack in a pack of another name are not read: --pack takes a folder of that name"
        return [Problem(before, why) for before in sorted(packs)]

    def _name(self) -> None:
        """Learn what queries the names in the stage are."""
        sql = "SELECT DISTINCT name FROM stage ANTI JOIN names ON name = logged WHERE name IS NOT NULL"
        logged = [name for (name,) in self.run(sql)]
        if logged:
            bare = [self.names.bare(name) for name in logged]
            self.run("""
                INSERT INTO queries SELECT row_number() OVER (ORDER BY query) + (SELECT count(*) FROM queries), query
                FROM (SELECT DISTINCT unnest(?) AS query) ANTI JOIN queries USING (query)""", [bare])  # fmt: skip
            kinds = [[has(name) for name in bare] for has in (self.names.has_read_rows, self.names.has_history)]
            self.run("""
                INSERT INTO names SELECT logged, number, is_read, has_history
                FROM (SELECT unnest(?) AS logged, unnest(?) AS query, unnest(?) AS is_read, unnest(?) AS has_history)
                JOIN queries USING (query)""", [logged, bare, *kinds])  # fmt: skip
