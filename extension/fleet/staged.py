"""Takes what DuckDB has read (duck_files.py) into `told` and `contents`: events, snapshots and batches of rows.

`stage` has what is the same on many lines once, with the lines that said it, so that a row or a whole body of rows is kept,
unpacked and hashed once: name, columns, snapshot, diff (one of these three), epoch, action, row_key (of columns) and lines, each
(sent_by, counter, unix_time); and a row for each sender: sent_by, identifier, decorations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from extension.fleet.reading import IS_PLAIN

Run = Callable[[str], Any]

_NAMED = "stage JOIN names ON name = logged"
_HEARD = "JOIN heard USING (sent_by)"
# Spelt by nearly every line as osquery spells it.
_ACTION = """CASE action WHEN 'added' THEN 'added'::actions WHEN 'removed' THEN 'removed' WHEN 'snapshot' THEN 'snapshot'
    ELSE coalesce(try_cast(lower(action) AS actions), 'other') END"""
# The actions of a body, and beside each its rows.
_TAKEN = """['snapshot'] AS actions, [from_json(body, '["JSON"]')] AS sides FROM bodies"""
_CHANGED = """['removed', 'added'] AS actions, [rows.removed, rows.added] AS sides
    FROM (SELECT *, from_json(body, '{"removed": ["JSON"], "added": ["JSON"]}') AS rows FROM bodies)"""


def key(text: str) -> str:
    """SQL for a number that nobody finds a second text for."""
    return f"(md5_number({text}) >> 64)::UBIGINT"


def gather(lines: str) -> str:
    """SQL of the stage's rows, from lines with name, columns, snapshot, diff, epoch, counter, unix_time, action and file.

    `odd` is the file of lines that say nothing as they stand, `is_plain` whether all numbers are within their bounds.
    """
    said = "name, columns, snapshot, diff, epoch, action, odd"
    return f"""
        WITH lines AS MATERIALIZED (
            SELECT * EXCLUDE (file), hash(identifier, decorations) AS sent_by,
                CASE WHEN name IS NULL OR columns IS NULL AND snapshot IS NULL AND diff IS NULL THEN file END AS odd
            FROM ({lines}))
        SELECT *, {key("columns")} AS row_key, NULL AS sent_by, NULL AS identifier, NULL AS decorations FROM (
            SELECT {said}, bool_and(coalesce({IS_PLAIN}, false)) AS is_plain,
                list({{'sent_by': sent_by, 'counter': counter, 'unix_time': unix_time}}) AS lines
            FROM lines GROUP BY ALL)
        UNION ALL BY NAME
        SELECT sent_by, any_value(identifier) AS identifier, any_value(decorations) AS decorations
        FROM lines WHERE name IS NOT NULL GROUP BY sent_by"""  # noqa: S608  # SQL of our own making


def take_events(run: Run) -> None:
    """Take lines of one row each. Of queries whose rows nobody reads, only when they were reported."""
    run(f"""
        INSERT INTO contents SELECT number, row_key, any_value(columns)
        FROM {_NAMED} ANTI JOIN contents USING (number, row_key) WHERE columns IS NOT NULL AND is_read GROUP BY ALL""")  # noqa: S608
    run(f"""
        INSERT INTO told SELECT sender, number, epoch, counter, unix_time, action, row_key
        FROM (SELECT number, epoch, {_ACTION} AS action, CASE WHEN is_read THEN row_key END AS row_key,
                unnest(lines, recursive := true)
            FROM {_NAMED} WHERE columns IS NOT NULL) {_HEARD}""")  # noqa: S608


def take_snapshots(run: Run) -> None:
    """Take snapshots: when each was taken, and the rows of a batch's first and last; of a history those between them, too."""
    run(f"""
        CREATE OR REPLACE TEMP TABLE taken AS
        SELECT body_number, sender, number, is_read, has_history, has_rows, epoch, counter, unix_time
        FROM (SELECT stage.rowid AS body_number, number, is_read, has_history, epoch, unnest(lines, recursive := true),
                snapshot LIKE '[{{%' OR json_array_length(snapshot) > 0 AS has_rows
            FROM {_NAMED} WHERE snapshot IS NOT NULL) {_HEARD}""")  # noqa: S608
    run("""
        INSERT INTO told
        SELECT sender, number, epoch, counter, unix_time, CASE WHEN has_rows THEN 'snapshot' ELSE 'empty' END, NULL FROM taken""")
    run("""
        CREATE OR REPLACE TEMP TABLE sent AS
        WITH ends AS (
            SELECT sender, number, unnest([first_time, last_time]) AS unix_time FROM (
                SELECT sender, number, min(unix_time) AS first_time, max(unix_time) AS last_time
                FROM taken WHERE is_read GROUP BY ALL))
        SELECT body_number, sender, epoch, counter, unix_time
        FROM taken SEMI JOIN ends USING (sender, number, unix_time) WHERE is_read
        UNION SELECT body_number, sender, epoch, counter, unix_time FROM taken WHERE is_read AND has_history""")
    run(f"""
        CREATE OR REPLACE TEMP TABLE bodies AS SELECT stage.rowid AS body_number, number, is_read, snapshot AS body
        FROM {_NAMED} WHERE snapshot IS NOT NULL AND stage.rowid IN (SELECT body_number FROM sent)""")  # noqa: S608
    _unpack(run, _TAKEN)
    _tell(run, "ANTI JOIN histories USING (number)")
    # Of a history's row, which is on one snapshot after the other, it counts when it was first and last.
    run("""
        INSERT INTO told
        SELECT sender, number, min(epoch), min(counter), unnest(list_distinct([min(unix_time), max(unix_time)])), action, row_key
        FROM sent JOIN (SELECT body_number, number, action, row_key FROM unpacked) USING (body_number)
        SEMI JOIN histories USING (number) GROUP BY sender, number, action, row_key""")


def take_batches(run: Run) -> None:
    """Take lines of many added and removed rows."""
    run(f"""
        CREATE OR REPLACE TEMP TABLE bodies AS SELECT stage.rowid AS body_number, number, is_read, diff AS body
        FROM {_NAMED} WHERE diff IS NOT NULL""")  # noqa: S608
    run(f"""
        CREATE OR REPLACE TEMP TABLE sent AS SELECT body_number, sender, epoch, counter, unix_time
        FROM (SELECT stage.rowid AS body_number, epoch, unnest(lines, recursive := true) FROM stage WHERE diff IS NOT NULL)
        {_HEARD}""")  # noqa: S608
    _unpack(run, _CHANGED)
    _tell(run)


def _tell(run: Run, but_for: str = "") -> None:
    """Take the unpacked rows, of each line that had them."""
    run(f"""
        INSERT INTO told SELECT sender, number, epoch, counter, unix_time, action, row_key
        FROM sent JOIN (SELECT body_number, number, action, row_key FROM unpacked) USING (body_number) {but_for}""")  # noqa: S608


def _unpack(run: Run, sides: str) -> None:
    """Take the contents of the rows in `bodies`, and have `unpacked` name them: body_number, number, action, row_key."""
    run(f"""
        CREATE OR REPLACE TEMP TABLE unpacked AS
        SELECT *, CASE WHEN is_read THEN {key("columns")} END AS row_key FROM (
            SELECT body_number, number, is_read, action,
                unnest(CASE WHEN is_read THEN side WHEN len(side) > 0 THEN [NULL] END) AS columns
            FROM (SELECT body_number, number, is_read, unnest(actions)::actions AS action, unnest(sides) AS side
                FROM (SELECT body_number, number, is_read, {sides})))
        WHERE columns IS NOT NULL OR NOT is_read""")  # noqa: S608
    run("""
        INSERT INTO contents SELECT number, row_key, any_value(columns)
        FROM unpacked ANTI JOIN contents USING (number, row_key) WHERE row_key IS NOT NULL GROUP BY ALL""")
