"""Shared fixtures: who may run what, and what tests plant."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.planted_programs import Planter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this user or machine cannot run."""
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="plants real mounts, namespaces or foreign processes: needs root"))
        if item.get_closest_marker("osquery") and shutil.which("osqueryi") is None:
            item.add_marker(pytest.mark.skip(reason="no osqueryi on PATH"))


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
