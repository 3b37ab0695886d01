"""Shared fixtures: who may run what, and what tests plant."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.planted_programs import Planter

# How long a test takes says nothing on a machine that does something else as well.
hypothesis.settings.register_profile("minehunt", deadline=None)
hypothesis.settings.load_profile("minehunt")

# Their tests share nothing, and take long together.
_ONE_BY_ONE = frozenset({"tests/hostile/test_linear.py", "tests/hostile/test_tables_on_hostile_trees.py"})
# Its tests are named SUBJECT/CASE, and a subject is one room.
_LAB = "tests/lab/test_lab.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option with which tests/suite.py runs the tests in two parts."""
    parser.addoption("--part", choices=("together", "alone"), help="run only the tests that may, or may not, run side by side")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder for temporary ones that another process has chosen: /tmp is a worker's own."""
    if "PYTEST_XDIST_WORKER" in os.environ and config.option.basetemp:
        Path(config.option.basetemp).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the part that is asked for; skip, with the reason, what this user or machine cannot run."""
    part = config.getoption("--part")
    if part:
        chosen = [item for item in items if (item.get_closest_marker("alone") is not None) == (part == "alone")]
        config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
        items[:] = chosen
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="plants real mounts, namespaces or foreign processes: needs root"))
        if item.get_closest_marker("osquery") and shutil.which("osqueryi") is None:
            item.add_marker(pytest.mark.skip(reason="no osqueryi on PATH"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a fixture, or a room of the lab, run in one process (tests/suite.py)."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            module, _, test = nodeid.partition("::")
            if module in _ONE_BY_ONE:
                return nodeid
            return f"{module}::{test.partition('/')[0]}" if module == _LAB and "/" in test else module

    return Scheduling(config, log)


@pytest.fixture
def plant() -> Iterator[Planter]:
    """Starts programs, and ends them after the test."""
    planter = Planter()
    yield planter
    planter.clean()


@pytest.fixture
def quiet() -> Iterator[Path]:
    """A folder in which a program may well lie, unlike pytest's own below /tmp."""
    home = os.path.realpath(Path.home())
    if home.startswith(("/tmp/", "/var/tmp/", "/dev/", "/run/")) or "/." in home:
        pytest.skip(f"no program may lie in {home}, so none that lies there is innocent")
    folder = Path(tempfile.mkdtemp(prefix="minehunt-test-", dir=home))
    yield folder
    shutil.rmtree(folder)
