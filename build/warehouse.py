"""Build dist/warehouse/: the fleet view's models as SQL for those whose results stay in a warehouse.

One model, Ibis's, compiled for each engine; a view each, in the order in which they build on one another.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import sqlglot

from build.deliver import EVENTS, PACK, BuildError, run
from extension.fleet.columns import COLUMNS, RAW
from extension.pack.model import load_pack

# Those that the tests run on the same data; of the others the SQL is parsed only.
RUN = ("duckdb", "clickhouse", "spark")
DIALECTS = {"duckdb": "duckdb", "clickhouse": "clickhouse", "snowflake": "snowflake", "bigquery": "bigquery", "trino": "trino",
            "spark": "pyspark"}  # fmt: skip
_PARSED_AS = {"pyspark": "spark"}
_README = """# The fleet view's models as SQL

For results that stay in a warehouse. Run the files of your engine in the order of their numbers: each makes one view, the later
ones of the earlier. All read one table of yours, a line for each logged row:

    osquery_results(host, query, epoch, counter, unix_time, action, row_key, columns)

- `host`: one key a host; decorations' `host_uuid`, or hostIdentifier.
- `query`: the pack's own name of the query: `cron_jobs` of `pack_cryptominer_triage_cron_jobs` and `pack/Global/…`.
- `action`: `added`, `removed`, `snapshot`; `empty` for a snapshot without rows (then `row_key` and `columns` are NULL).
- `row_key`: the same for the same row: the JSON text of `columns`, or its hash.
- `columns`: the row, a map of texts (JSON in BigQuery). A batch (`diffResults`, `snapshot`) is one line for each of its rows.

The same line may come twice and in any order. What you get:

| view | a row is |
|---|---|
| `minehunt_state` | a row that a query has now, of a host (`minehunt_rows` has its columns) |
| `minehunt_findings` | a detection's row that stands now, an alert |
| `minehunt_shared` | a thing (hash, key, command …) of two hosts with findings, and how many hosts without have it |
| `minehunt_rare` | a thing of an inventory that few hosts have |
| `minehunt_coverage` | a host: when it was heard first and last, of how many queries, and what never arrived |

Incidents, campaigns and who is next are told by `minehunt fleet`, which reads exports of the same table as well.

| engine | |
|---|---|
"""


def models(kind: str = "map<string, string>") -> dict[str, Any]:
    """The views as Ibis expressions, by name, in order; `kind` is the type of `columns` (BigQuery has no maps, but JSON)."""
    import ibis
    from ibis import _

    from extension.fleet import state
    from extension.fleet.inventory_things import shared_values
    from extension.fleet.names import Names
    from extension.fleet.normalise import normal_texts
    from extension.fleet.rare import FEW, ONE_OF
    from extension.fleet.stacking import stackable

    names = Names.of(load_pack(PACK), load_pack(EVENTS))
    detections, inventories = list(names.of_kind("detection")), list(names.of_kind("inventory"))
    raw = ibis.table({**RAW, "columns": kind}, name="osquery_results")
    results = raw.drop("columns")
    made: dict[str, Any] = {}

    def view(name: str, expression: Any) -> Any:
        made[f"minehunt_{name}"] = expression
        return ibis.table(expression.schema(), name=f"minehunt_{name}")

    told = raw["columns"]
    texts = {column: told[column].str.fill_null("") if kind == "json" else told.get(column, "") for column in COLUMNS}
    rows = view("rows", raw.filter(_.row_key.notnull()).select("query", "row_key", **texts).distinct())
    batches = view("batches", state.batches(results))
    runs = view("runs", state.runs(batches))
    resets = view("resets", state.resets(runs))
    lasting = state.lasting(results)
    latest = view("latest_snapshots", state.latest_snapshots(lasting))
    # Whose clock was set by a long way only `minehunt fleet` finds out.
    clocks = view("clocks", results.select("host", is_jumping=ibis.literal(True)).filter(_.host == "").distinct())
    now = view("state", state.state(lasting, runs, resets, latest, clocks))
    findings = view("findings", now.filter(_.query.isin(detections)).join(rows, ["query", "row_key"]))
    normal = view("texts", normal_texts(rows))
    things = shared_values(rows, normal)
    edges = view("things", now.join(things, ["query", "row_key"]).select("host", "query", "kind", "value").distinct())
    hosts = findings.select("host").distinct()
    with_findings = edges.filter(_.query.isin(detections)).select("host", "kind", "value").distinct()
    without = edges.filter(_.query.isin(inventories)).anti_join(hosts, "host").select("host", "kind", "value").distinct()
    having = with_findings.group_by("kind", "value").agg(hosts=_.count()).filter(_.hosts > 1)
    clean = without.group_by("kind", "value").agg(hosts_without=_.count())
    shared = having.left_join(clean, ["kind", "value"])
    view("shared", shared.select("kind", "value", "hosts", hosts_without=shared.hosts_without.fill_null(0)))
    stack = now.join(stackable(rows, names.stacked(), normal), ["query", "row_key"])
    pairs = stack.group_by("host", "kind", "text").agg(first_time=_.first_time.min())
    total = pairs.select("host").distinct().agg(reporting=_.count())
    counted = pairs.group_by("kind", "text").agg(hosts=_.count(), first_time=_.first_time.min())
    view("rare", counted.cross_join(total).filter((_.hosts <= FEW) | (_.hosts * ONE_OF <= _.reporting)))
    heard = results.group_by("host").agg(first_time=_.unix_time.min(), last_time=_.unix_time.max())
    queries = results.select("host", "query").distinct().group_by("host").agg(queries=_.count())
    lost = runs.group_by("host").agg(lost=_.lost.sum())
    covered = heard.join(queries, "host").left_join(lost, "host")
    view("coverage", covered.select("host", "first_time", "last_time", "queries", lost=covered.lost.fill_null(0)))
    return made


@functools.cache
def compiled(dialect: str) -> dict[str, str]:
    """`CREATE VIEW` for each model in a dialect of Ibis's; BuildError when it says nothing that a parser reads."""
    import ibis

    made = {}
    for name, expression in models("json" if dialect == "bigquery" else RAW["columns"]).items():
        sql = str(ibis.to_sql(expression, dialect=dialect, pretty=True))
        if dialect == "clickhouse":
            # What is missing on one side of a join is NULL in every other engine.
            sql += "\nSETTINGS join_use_nulls = 1"
        try:
            sqlglot.parse_one(sql, read=_PARSED_AS.get(dialect, dialect))
        except sqlglot.ParseError as error:
            raise BuildError(f"warehouse: {name} in {dialect}: {error}") from None
        made[name] = f"CREATE OR REPLACE VIEW {name} AS\n{sql}\n"
    return made


def build(destination: Path) -> None:
    """Write a folder for each engine, and the README of what they read, into `destination`."""
    try:
        import ibis
    except ModuleNotFoundError:
        raise BuildError("warehouse: Ibis is not installed (pip install 'minehunt[fleet]'; Python 3.10 or newer)") from None
    readme = _README
    for folder, dialect in DIALECTS.items():
        (destination / folder).mkdir()
        for number, (name, sql) in enumerate(compiled(dialect).items(), 1):
            (destination / folder / f"{number:02}_{name}.sql").write_text(sql, encoding="utf-8")
        readme += f"| {folder} | {'run by the tests, with equal results' if folder in RUN else 'parsed, not run'} |\n"
    readme += f"\nCompiled by Ibis {ibis.__version__}.\n"
    (destination / "README.md").write_text(readme, encoding="utf-8")


def main() -> int:
    """`python -m build.warehouse FOLDER`."""
    return run("warehouse", build)


if __name__ == "__main__":
    sys.exit(main())
