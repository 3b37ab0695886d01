"""What the command says where the extra is missing, and that the base knows nothing of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

_WITHOUT = """
import sys
for name in ("ibis", "duckdb", "pyarrow"):
    sys.modules[name] = None
from extension.cli import main
main(["fleet", "report", sys.argv[1]])
"""


def test_the_command_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT, __file__], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "pip install 'minehunt[fleet]'" in done.stderr


def test_nothing_of_it_is_imported_by_other_commands() -> None:
    script = "import sys, extension.cli; assert not {'ibis', 'duckdb', 'pyarrow', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.skipif(importlib.util.find_spec("ibis") is not None, reason="Ibis is here: the other tests of this folder run")
def test_the_fleet_view_is_not_tested_here() -> None:
    pytest.skip("Ibis is not installed (it needs Python 3.10): no other test of the fleet view was run")
