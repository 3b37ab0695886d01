"""The index of tables: it says what the modules say, and imports them only when they are used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import tables
from extension.serving.registration import routes
from tables import index
from tables.host import Host
from tables.schema import QueryContext

REPOSITORY = Path(__file__).parents[2]


def built() -> dict[str, tables.Table]:
    return index.read_index(index.write_index(tables.discover(), tables.modules()).encode())


def test_it_says_what_the_modules_say() -> None:
    found = tables.discover()
    indexed = built()
    assert list(indexed) == list(found)
    for name, table in found.items():
        assert routes(indexed[name]) == routes(table)
        for option in (
            "cache_seconds",
            "budget_seconds",
            "max_rows",
            "uses_constraints",
            "own_thread",
            "of_extension",
            "remembers",
            "needs_live",
            "sop_steps",
        ):
            assert getattr(indexed[name], option) == getattr(table, option)


def test_a_table_of_the_index_answers() -> None:
    host = Host()
    rows = list(built()["minehunt_status"].generate(host, QueryContext()))
    assert [row.to_wire()["table_name"] for row in rows] == sorted(tables.modules())


def test_reading_it_imports_no_table() -> None:
    code = (
        "import sys, tables; from tables import index; data = sys.stdin.buffer.read(); index.read_index(data); "
        "print([name for name in sys.modules if name.startswith(('tables.processes.', 'tables.persistence.'))])"
    )
    data = index.write_index(tables.discover(), tables.modules())
    done = subprocess.run([sys.executable, "-c", code], input=data, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_an_index_the_modules_are_asked() -> None:
    assert tables.indexed() == tables.discover()
    assert index.read_index(None) == {}
    assert json.loads(index.write_index({}, {})) == {}
