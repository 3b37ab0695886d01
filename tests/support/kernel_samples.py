"""The views of a real kernel that were recorded beside this checkout, in ../shared/kernel-samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "kernel-samples"


def kernel_sample(name: str) -> dict[str, Any]:
    """The sample `name`; the test is skipped where the samples are not beside the checkout."""
    file = _FOLDER / f"{name}.json"
    if not file.exists():
        pytest.skip(f"no recorded kernel views: {file.name} is not beside the checkout")
    found: dict[str, Any] = json.loads(file.read_text())
    return found
