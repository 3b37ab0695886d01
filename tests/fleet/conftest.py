"""One simulated fleet for all tests of this folder, and logs written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ibis", reason="the fleet view needs Python 3.10 and minehunt[fleet]")

from extension.fleet.answers import Ground, prepare
from extension.fleet.duck import Duck
from extension.fleet.fleet_view import FleetView, look
from extension.fleet.names import Names
from extension.fleet.report.document import Document, document
from extension.fleet.sources import discover
from extension.pack.model import load_pack, shipped_pack
from tests.fleet.logs import write
from tests.fleet.simulate import fleet
from tests.fleet.simulated_hosts import Truth

HOSTS, DAYS = 500, 7


@pytest.fixture(scope="session")
def names() -> Names:
    return Names.of(load_pack(shipped_pack()))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("fleet")
    hosts, truth = fleet(HOSTS, DAYS)
    write(folder, hosts, DAYS, truth)
    return folder, truth


def looked_at(sources: list[str], names: Names) -> tuple[FleetView, Document]:
    engine = Duck(names)
    try:
        files, _problems = discover(sources)
        loaded = engine.load(files)
        engine.ready()
        view = look(engine, names)
        return view, document(view, loaded)
    finally:
        engine.close()


@pytest.fixture(scope="session")
def report(simulated: tuple[Path, Truth], names: Names) -> Document:
    return looked_at([str(simulated[0])], names)[1]


@pytest.fixture
def grounded(tmp_path: Path, names: Names) -> Iterator[Callable[..., Ground]]:
    """The state of lines (dicts or texts) that are written into one file, in the order given."""
    engines = []

    def make(*lines: Any) -> Ground:
        path = tmp_path / f"osqueryd.results.log.{len(engines) + 1}"
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        engine = Duck(names)
        engines.append(engine)
        engine.load(discover([str(path)])[0])
        engine.ready()
        return prepare(engine, names)

    yield make
    for engine in engines:
        engine.close()


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
    rows = ground.engine.rows_of(ground.state.filter(ground.state.query == query))
    return sorted(row.get(column, "") for key, _query, _first, row in rows if key in keys)
