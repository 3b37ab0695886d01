"""What of a row makes it the same thing on two hosts, for each inventory by columns of its own."""

from __future__ import annotations

from typing import Any

import ibis
import pytest

from extension.fleet.columns import COLUMNS
from extension.fleet.normalise import normal_texts
from extension.fleet.stacking import stackable, with_thing

_QUERIES = ("cron_jobs", "systemd_units", "accounts", "kernel_modules", "reachable_entry_services", "containers", "packages")


def _stacked(*rows: dict[str, Any], queries: tuple[str, ...] = _QUERIES) -> list[dict[str, Any]]:
    told = [{**dict.fromkeys(COLUMNS, ""), "row_key": number, **row} for number, row in enumerate(rows)]
    schema = ibis.schema({"query": "string", "row_key": "uint64", **dict.fromkeys(COLUMNS, "string")})
    table = ibis.memtable(told, schema=schema)
    things = with_thing(stackable(table, queries, normal_texts(table)))
    found: list[dict[str, Any]] = ibis.duckdb.connect().to_pyarrow(things.order_by("row_key")).to_pylist()
    return found


@pytest.mark.parametrize(
    ("row", "kind", "text", "program", "package"),
    [
        (
            {"query": "cron_jobs", "command": "/opt/a 12", "scheduler": "cron_d", "program_path": "/opt/a", "package": "no"},
            "job", "/opt/a # cron_d", "/opt/a", "",
        ),
        (
            {"query": "systemd_units", "unit": "a.service", "command": "/opt/a -t 7", "program_package": "a", "path": "/p"},
            "unit", "a.service /opt/a -t #", "", "a",
        ),
        ({"query": "systemd_units", "unit": "a.timer"}, "unit", "a.timer", "", ""),
        # Neither is a text of a host's own.
        ({"query": "accounts", "username": "web12", "shell": "/bin/sh", "path": "/p"}, "account", "web12 /bin/sh", "", ""),
        ({"query": "kernel_modules", "module": "x86_pkg", "command": "no"}, "kernel module", "x86_pkg", "", ""),
        (
            {"query": "reachable_entry_services", "process_name": "redis", "service": "redis", "port": "6379", "exe_path": "/r"},
            "listening service", "redis redis 6379", "/r", "",
        ),
        # What columns.STACKS does not name is stacked by whatever it has.
        ({"query": "containers", "image": "a/b:1", "command": "/m", "module": "z"}, "containers", "a/b:# /m z", "", ""),
    ],
)  # fmt: skip
def test_what_is_stacked_of_a_row(row: dict[str, Any], kind: str, text: str, program: str, package: str) -> None:
    (thing,) = _stacked(row)
    assert (thing["kind"], thing["text"], thing["program"], thing["package"]) == (kind, text, program, package)


def test_rows_that_say_nothing_and_other_queries_are_left_out() -> None:
    assert _stacked({"query": "cron_jobs", "path": "/etc/cron.d/a"}, {"query": "logins", "command": "/opt/a"}) == []
    assert [one["text"] for one in _stacked({"query": "mine", "path": "/a"}, queries=("mine",))] == ["/a"]
    # Of which none has what is told exactly.
    assert [one["text"] for one in _stacked({"query": "cron_files", "path": "/a"}, queries=("cron_files",))] == ["/a"]


def test_one_text_of_a_query_is_one_thing() -> None:
    first, same, other_query = _stacked(
        {"query": "cron_jobs", "command": "/opt/a 1"}, {"query": "cron_jobs", "command": "/opt/a 22"},
        {"query": "containers", "command": "/opt/a 3"},
    )  # fmt: skip
    assert first["thing"] == same["thing"] != other_query["thing"]
    assert (first["example"], same["example"]) == ("/opt/a 1", "/opt/a 22")
