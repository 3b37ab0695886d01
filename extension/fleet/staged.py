"""Takes what DuckDB has staged (duck_files.py) into `told` and `contents`: events, snapshots and batches of rows.

What is the same on many hosts, a row or a whole body of rows, is unpacked and hashed once, and met by its text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Run = Callable[[str], Any]

_NAMED = "stage JOIN names ON name = logged"
_HEARD = "JOIN heard USING (sent_by)"
_EVENTS = f"(SELECT * FROM {_NAMED} WHERE columns IS NOT NULL)"  # noqa: S608  # SQL of our own making
_BATCHES = f"(SELECT * EXCLUDE (action), diff AS body FROM {_NAMED} WHERE diff IS NOT NULL)"  # noqa: S608
# Spelt by nearly every line as osquery spells it.
_ACTION = """CASE action WHEN 'added' THEN 'added'::actions WHEN 'removed' THEN 'removed' WHEN 'snapshot' THEN 'snapshot'
    ELSE coalesce(try_cast(lower(action) AS actions), 'other') END"""
# The actions of a body, and beside each its rows.
_TAKEN = """['snapshot'] AS actions, [from_json(body, '["JSON"]')] AS sides FROM fresh"""
_CHANGED = """['removed', 'added'] AS actions, [rows.removed, rows.added] AS sides
    FROM (SELECT *, from_json(body, '{"removed": ["JSON"], "added": ["JSON"]}') AS rows FROM fresh)"""


def key(text: str) -> str:
    """SQL for a number that nobody finds a second text for."""
    return f"(md5_number({text}) >> 64)::UBIGINT"


def take_events(run: Run) -> None:
    """Take lines of one row each. Of queries whose rows nobody reads, only when they were reported."""
    run(f"""
        CREATE OR REPLACE TEMP TABLE fresh AS SELECT number, columns, {key("columns")} AS row_key
        FROM (SELECT DISTINCT number, columns FROM {_EVENTS} WHERE is_read)""")  # noqa: S608
    run("INSERT INTO contents SELECT number, row_key, columns FROM fresh ANTI JOIN contents USING (number, row_key)")
    run(f"""
        INSERT INTO told SELECT sender, number, epoch, counter, unix_time, {_ACTION}, row_key
        FROM {_EVENTS} LEFT JOIN fresh USING (number, columns) {_HEARD}""")  # noqa: S608


def take_snapshots(run: Run) -> None:
    """Take snapshots: when each was taken, and the rows of a batch's first and last, since those between are of no account."""
    run(f"""
        INSERT INTO told SELECT sender, number, epoch, counter, unix_time,
            CASE WHEN snapshot LIKE '[{{%' OR json_array_length(snapshot) > 0 THEN 'snapshot' ELSE 'empty' END, NULL
        FROM {_NAMED} {_HEARD} WHERE snapshot IS NOT NULL""")  # noqa: S608
    run(f"""
        CREATE OR REPLACE TEMP TABLE at_ends AS
        WITH ends AS (
            SELECT sender, number, unnest([first_time, last_time]) AS unix_time FROM (
                SELECT sender, number, min(unix_time) AS first_time, max(unix_time) AS last_time
                FROM {_NAMED} {_HEARD} WHERE snapshot IS NOT NULL AND is_read GROUP BY ALL))
        SELECT sender, number, is_read, epoch, counter, unix_time, snapshot AS body
        FROM {_NAMED} {_HEARD} SEMI JOIN ends USING (sender, number, unix_time)
        WHERE snapshot IS NOT NULL AND is_read""")  # noqa: S608
    _unpack(run, "at_ends", _TAKEN)


def take_batches(run: Run) -> None:
    """Take lines of many added and removed rows."""
    _unpack(run, _BATCHES, _CHANGED, _HEARD)


def _unpack(run: Run, lines: str, sides: str, senders: str = "") -> None:
    """Take lines with any number of rows in their body."""
    run(f"""
        CREATE OR REPLACE TEMP TABLE fresh AS SELECT row_number() OVER () AS body_number, number, is_read, body
        FROM (SELECT DISTINCT number, is_read, body FROM {lines})""")  # noqa: S608
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
    run(f"""
        INSERT INTO told SELECT sender, number, epoch, counter, unix_time, action, row_key
        FROM {lines} JOIN fresh USING (number, body) JOIN (SELECT body_number, action, row_key FROM unpacked) USING (body_number)
        {senders}""")  # noqa: S608
