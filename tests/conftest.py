"""Shared fixtures: who may run what."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this user or machine cannot run."""
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="plants real mounts, namespaces or foreign processes: needs root"))
        if item.get_closest_marker("osquery") and shutil.which("osqueryi") is None:
            item.add_marker(pytest.mark.skip(reason="no osqueryi on PATH"))
