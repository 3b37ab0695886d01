"""One simulated fleet for all tests of this folder. Without Ibis nothing here is collected but the test that says so."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from extension.fleet.answers import Ground
    from extension.fleet.names import Names
    from extension.fleet.report.document import Document
    from tests.fleet.simulated_hosts import Truth

HOSTS, DAYS = 500, 7
_IS_THERE = importlib.util.find_spec("ibis") is not None
collect_ignore = (
    [] if _IS_THERE else [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_extra.py"]
)


@pytest.fixture(scope="session")
def names() -> Names:
    """The names of minehunt's own queries."""
    from extension.fleet.names import Names
    from extension.pack.model import load_pack, shipped_pack

    return Names.of(load_pack(shipped_pack()), load_pack(shipped_pack("cryptominer_events")))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The logs of five hundred hosts, and the truth about them."""
    from tests.fleet.logs import write
    from tests.fleet.simulate import fleet

    folder = tmp_path_factory.mktemp("fleet")
    hosts, truth = fleet(HOSTS, DAYS)
    write(folder, hosts, DAYS, truth)
    return folder, truth


@pytest.fixture(scope="session")
def report(simulated: tuple[Path, Truth], names: Names) -> Document:
    """What the fleet view says of them."""
    from tests.fleet.looking import looked_at

    return looked_at([str(simulated[0])], names)[1]


@pytest.fixture
def grounded(tmp_path: Path, names: Names) -> Iterator[Callable[..., Ground]]:
    """The state of lines (dicts or texts) that are written into one file, in the order given."""
    from extension.fleet.answers import prepare
    from extension.fleet.duck_files import DuckFiles
    from extension.fleet.sources import discover

    opened = []

    def make(*lines: Any) -> Ground:
        path = tmp_path / f"osqueryd.results.log.{len(opened) + 1}"
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        results = DuckFiles(names)
        opened.append(results)
        results.load(discover([str(path)])[0])
        return prepare(results.ready(), names)

    yield make
    for results in opened:
        results.close()
