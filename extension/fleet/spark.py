"""Spark, where one machine is not enough: the same tables from osquery's own lines and from data sets of `fleet load`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import ibis
import ibis.expr.types as ir
from pyspark.sql import DataFrame, SparkSession

from extension.fleet.columns import COLUMNS, DECORATIONS
from extension.fleet.engines import LoggedRow, in_order, texts
from extension.fleet.names import Names
from extension.fleet.open_engine import EngineRefusedError
from extension.fleet.reading import Loaded, counted, seconds
from extension.fleet.sources import DOCUMENT, PARQUET, Problem, Source

_DIFF = "STRUCT<removed: ARRAY<STRING>, added: ARRAY<STRING>>"
_TOP_LEVEL = ", ".join(f"{name} STRING" for name in DECORATIONS)
_LINE = f"""{_TOP_LEVEL}, name STRING, hostIdentifier STRING, unixTime STRING, calendarTime STRING, epoch STRING,
    counter STRING, action STRING,
    columns STRING, decorations STRING, snapshot ARRAY<STRING>, diffResults {_DIFF}"""
_CALENDAR = "unix_timestamp(regexp_replace(calendarTime, '^\\\\w+ | UTC$', ''), 'MMM d HH:mm:ss yyyy')"
_LOGGED = """
    SELECT sender, query, epoch, counter, unix_time, action, content AS row_key FROM told WHERE is_read
    UNION ALL SELECT DISTINCT sender, query, epoch, counter, unix_time, action, NULL FROM told WHERE NOT is_read"""
_SPANS = "SELECT sender, min(unix_time) AS first_time, max(unix_time) AS last_time, count(*) AS lines FROM told GROUP BY sender"
_CONTENTS = """
    SELECT query, content AS row_key, first(columns) AS row_json FROM told
    WHERE is_read AND columns IS NOT NULL GROUP BY query, content"""
_BROKEN = "count_if(name IS NULL OR columns IS NULL AND snapshot IS NULL AND diffResults IS NULL)"
_TYPES = {"string": "STRING", "int64": "BIGINT", "boolean": "BOOLEAN"}


class Spark:
    """A session with the results in it, as engines.Engine asks."""

    name = "Spark"

    def __init__(self, names: Names, master: str) -> None:
        self.names = names
        builder = SparkSession.builder.appName("minehunt fleet").config("spark.sql.session.timeZone", "UTC")
        builder = builder.config("spark.sql.ansi.enabled", "false").config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        builder = builder.config("spark.sql.legacy.timeParserPolicy", "CORRECTED")
        try:
            self.session = builder.master("local[*]" if master == "spark" else master).getOrCreate()
        except Exception as error:  # noqa: BLE001  # py4j raises whatever Java did
            raise EngineRefusedError(f"Spark does not start: {str(error).splitlines()[0]}") from None
        self.session.sparkContext.setLogLevel("ERROR")
        self.ibis = ibis.pyspark.connect(self.session)
        self._lines = 0

    def close(self) -> None:
        """End the session."""
        self.session.stop()

    def load(self, sources: Iterable[Source], progress: Callable[[int], None] = lambda _: None) -> Loaded:
        """Read files of osquery's own lines, and Parquet; EngineRefusedError for other documents, which `fleet load` reads."""
        files = list(sources)
        if not files:
            raise EngineRefusedError("none of the files can be read")
        if any(source.form == DOCUMENT for source in files):
            raise EngineRefusedError("Spark reads osquery's own lines; `minehunt fleet load` makes a data set of other forms")
        lines = [source.path for source in files if source.form != PARQUET]
        parts = []
        if lines:
            text = self.session.read.text(lines).selectExpr("value", "input_file_name() AS file").where("trim(value) <> ''")
            read = text.selectExpr(f"from_json(value, '{_LINE}') AS line", "file").selectExpr("line.*", "file")
            # As --decorations_top_level writes them.
            beside = f"coalesce(decorations, to_json(struct({', '.join(DECORATIONS)}))) AS decorations"
            parts.append(read.selectExpr(f"* EXCEPT (decorations, {', '.join(DECORATIONS)})", beside))
        parquet = [source.path for source in files if source.form == PARQUET]
        if parquet:
            parts.append(self._parquet(parquet))
        staged = functools.reduce(DataFrame.unionByName, parts)
        staged.createOrReplaceTempView("staged")
        loaded = Loaded(files=len(files), size=sum(source.size for source in files))
        for row in self._rows(f"SELECT file, count(*) AS lines, {_BROKEN} AS broken FROM staged GROUP BY file"):  # noqa: S608  # SQL of our own
            loaded.lines += row["lines"]
            loaded.broken += row["broken"]
            if row["broken"]:
                why = f"{row['broken']} lines are not in osquery's own form; `minehunt fleet load` reads those"
                loaded.problems.append(Problem(row["file"], why))
        self._lines = loaded.lines - loaded.broken
        progress(loaded.size)
        return loaded

    def _parquet(self, paths: list[str]) -> DataFrame:
        frame = self.session.read.option("mergeSchema", "true").parquet(*paths)
        return frame.selectExpr(
            "name", "hostIdentifier", "string(unixTime) AS unixTime", "string(null) AS calendarTime", "string(epoch) AS epoch",
            "string(counter) AS counter", "action", "string(columns) AS columns", "string(decorations) AS decorations",
            "from_json(string(snapshot), 'ARRAY<STRING>') AS snapshot",
            f"from_json(string(diffResults), '{_DIFF}') AS diffResults",
            "input_file_name() AS file",
        )  # fmt: skip

    def has_results(self) -> bool:
        """Whether anything was loaded."""
        return self._lines > 0

    def ready(self) -> Spark:
        """The engine, with the tables of its contract made from what was loaded."""
        logged = [row["name"] for row in self._rows("SELECT DISTINCT name FROM staged WHERE name IS NOT NULL")]
        bare = [(name, self.names.bare(name)) for name in logged]
        self.take(
            "names",
            {"logged": "string", "query": "string", "is_read": "boolean"},
            [(*pair, self.names.has_read_rows(pair[1])) for pair in bare],
        )
        common = f"""query, is_read, coalesce(hostIdentifier, '') AS identifier, coalesce(decorations, '{{}}') AS decorations,
            coalesce({seconds("double(unixTime)")}, {seconds(f"double({_CALENDAR})")}, 0) AS unix_time,
            coalesce(bigint(epoch), 0) AS epoch,
            CASE WHEN counter IS NULL THEN 0 ELSE coalesce({counted("double(counter)")}, 1) END AS counter"""
        source = "FROM staged JOIN names ON name = logged"
        told = f"""
            SELECT {common}, lower(action) AS action, columns {source} WHERE columns IS NOT NULL
            UNION ALL SELECT {common}, 'snapshot', explode(snapshot) {source} WHERE columns IS NULL
            UNION ALL SELECT {common}, 'empty', NULL {source} WHERE size(snapshot) = 0
            UNION ALL SELECT {common}, 'removed', explode(diffResults.removed) {source}
            UNION ALL SELECT {common}, 'added', explode(diffResults.added) {source}"""  # SQL of our own making
        keyed = "SELECT *, md5(concat(identifier, decorations)) AS sender, md5(columns) AS content"
        self._keep("told", f"{keyed} FROM ({told})")
        self._keep("logged", _LOGGED)
        self._keep("senders", "SELECT DISTINCT sender, identifier, decorations FROM told")
        self._keep("spans", _SPANS)
        self._keep("contents", _CONTENTS)
        structure = ", ".join(f"{name} STRING" for name in COLUMNS)
        columns = ", ".join(f"coalesce(c.{name}, '') AS {name}" for name in COLUMNS)
        parsed = f"SELECT query, row_key, from_json(row_json, '{structure}') AS c FROM contents"  # noqa: S608
        self._keep("rows", f"SELECT query, row_key, {columns} FROM ({parsed})")  # noqa: S608
        return self

    def table(self, name: str) -> ir.Table:
        """A table of the session."""
        return self.ibis.table(name)

    def keep(self, name: str, expression: ir.Table) -> ir.Table:
        """The expression's result, worked out once."""
        return self._keep(name, str(self.ibis.compile(expression)))

    def _keep(self, name: str, sql: str) -> ir.Table:
        self.session.sql(sql).localCheckpoint(eager=True).createOrReplaceTempView(name)
        return self.ibis.table(name)

    def take(self, name: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> ir.Table:
        """A table made of rows of Python's."""
        schema = ", ".join(f"`{column}` {_TYPES[kind]}" for column, kind in columns.items())
        self.session.createDataFrame(rows, schema).createOrReplaceTempView(name)
        return self.ibis.table(name)

    def fetch(self, expression: ir.Table) -> list[dict[str, Any]]:
        """The rows of a small table."""
        return self._rows(str(self.ibis.compile(expression)))

    def ask(self, expression: ir.Table) -> Callable[[], list[dict[str, Any]]]:
        """What fetches the rows of a small table."""
        return functools.partial(self.fetch, expression)

    def ask_rows(self, state: ir.Table) -> Callable[[], list[LoggedRow]]:
        """What fetches the rows that a small part of the state names, in order."""
        return functools.partial(self._rows_of, state)

    def _rows_of(self, state: ir.Table) -> list[LoggedRow]:
        self.keep("wanted", state)
        rows = self._rows("SELECT host, query, first_time, row_json FROM wanted JOIN contents USING (query, row_key)")
        return in_order((row["host"], row["query"], row["first_time"], texts(row["row_json"])) for row in rows)

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        return [row.asDict() for row in self.session.sql(sql).collect()]
