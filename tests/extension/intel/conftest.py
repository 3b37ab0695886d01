"""A configuration folder of the test's own, and the command line on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from extension.cli import main
from tests.support.command_line import runner

Intel = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An empty configuration; its folder is where the lists go."""
    path = tmp_path / "etc" / "minehunt.yaml"
    path.parent.mkdir()
    path.write_text("{}\n")
    return path


@pytest.fixture
def lists(config: Path) -> Path:
    """The folder of the lists in force."""
    return config.parent / "indicators.d"


@pytest.fixture
def intel(config: Path, monkeypatch: pytest.MonkeyPatch) -> Intel:
    """Runs `minehunt intel` with that configuration."""
    monkeypatch.delenv("MINEHUNT_INDICATORS", raising=False)

    def run(command: str, *arguments: object) -> Result:
        result = runner().invoke(main, ["intel", command, "--config", str(config), *map(str, arguments)])
        # Whatever goes wrong is a message, never a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run
