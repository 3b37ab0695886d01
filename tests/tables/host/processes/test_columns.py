"""The columns of a process: what is read for each, and one wording in all tables."""

from __future__ import annotations

import os

import pytest

import tables
from tables.host import Host
from tables.host.processes.columns import _FACTS, process_column, process_facts

# Columns of these names that mean something else than a fact of the row's process, and say so themselves.
OTHER = {
    "exposed_services": ("pid", "cmdline"),
    "hidden_connections": ("pid", "owner_uid"),
    "miner_configs": ("pid", "owner_uid"),
    "miner_pool_connections": ("pid",),
    "preloaded_libraries": ("pid", "process_name", "owner_uid"),
}
TABLES = {name: table for name, table in tables.discover().items() if any(c.name == "process_name" for c in table.columns)}


def test_the_facts_are_those_of_the_process() -> None:
    process = Host().procfs.process(os.getpid())
    assert process is not None
    facts = process_facts(process, " ".join(_FACTS))
    assert (facts["pid"], facts["parent"], facts["owner_uid"]) == (os.getpid(), os.getppid(), os.getuid())
    assert (facts["exe_path"], facts["cwd"]) == (os.readlink("/proc/self/exe"), os.getcwd())
    assert facts["cmdline"] == process.cmdline and facts["start_time"] == process.start_time
    assert process_facts(None, "pid cmdline") == {"pid": None, "cmdline": None}


def test_a_note_is_added_to_the_one_wording() -> None:
    assert process_column("cwd", "or not").metadata["description"] == "working folder of the process; or not"
    assert process_column("pid", index=True).metadata["options"] & 1


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_processes_say_it_in_one_wording(name: str) -> None:
    for column in TABLES[name].columns:
        if column.name in _FACTS and column.name not in OTHER.get(name, ()):
            assert column.description.startswith(_FACTS[column.name].description), column.name
            assert column.type == _FACTS[column.name].type
