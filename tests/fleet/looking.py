"""Logs written by hand, and what the fleet view makes of logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from extension.fleet.answers import Ground
from extension.fleet.duck_files import DuckFiles
from extension.fleet.fleet_view import FleetView, look
from extension.fleet.names import Names
from extension.fleet.report.document import Document, document
from extension.fleet.sources import discover


def looked_at(sources: list[str], names: Names) -> tuple[FleetView, Document]:
    """The answers about these sources, and their document."""
    results = DuckFiles(names)
    try:
        files, _problems = discover(sources)
        loaded = results.load(files)
        view = look(results.ready(), names)
        return view, document(view, loaded)
    finally:
        results.close()


def line(query: str, counter: int, time: int, action: str, host: str = "h", epoch: int = 0, **columns: str) -> dict[str, Any]:
    """One line of --logger_event_type=true, with a UUID of the host's own among the decorations."""
    return {
        "name": f"pack_cryptominer_triage_{query}",
        "hostIdentifier": host,
        "unixTime": time,
        "epoch": epoch,
        "counter": counter,
        "numerics": False,
        "decorations": {"host_uuid": f"uuid-{host}", "hostname": host},
        "columns": columns,
        "action": action,
    }


def there(ground: Ground, query: str, column: str, host: str = "h") -> list[str]:
    """The values of a column in a query's rows that a host has now."""
    keys = {key for key, one in ground.hosts.items() if one.name == host}
    rows = ground.engine.ask_rows(ground.state.filter(ground.state.query == query))()
    return sorted(row.get(column, "") for key, _query, _first, row in rows if key in keys)


def reported(folder: Path, names: Names, lines: list[dict[str, Any]]) -> Document:
    """The document about these lines, written into one log."""
    (folder / "osqueryd.results.log").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return looked_at([str(folder)], names)[1]


def miner(host: str, when: int, action: str = "added", counter: int = 1, logged: int = 0, **columns: str) -> dict[str, Any]:
    """A line of miner_process about a program of the host's own that was started at `when`."""
    row = {
        "pid": "77",
        "start_time": str(when),
        "process_name": host,
        "exe_path": f"/tmp/.{host}/x",
        "evidence": "mines",
        **columns,
    }
    return line("miner_process", counter, logged or when, action, host, **row)


def told(report: Document) -> list[list[str]]:
    """The names of each campaign's hosts, in their order."""
    return [[host["host"] for host in campaign["hosts"]] for campaign in report["campaigns"]]
