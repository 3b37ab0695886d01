from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, Run, changes
from tests.benchmarks.measure import REPOSITORY

MACHINE = {"cpus": 2, "load": "0.1"}


def run(**seconds: float) -> Run:
    return Run(MACHINE, [Figure("files", name, value, value) for name, value in seconds.items()])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    one = Run(MACHINE, [Figure("files", "ours", 2.0, 1.5, "find", 1.25)])
    one.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == one


def test_the_worst_comes_first_and_noise_is_no_change() -> None:
    lines = changes(run(a=1.0, b=1.0, c=2.0, gone=1.0), run(a=1.1, b=3.0, c=1.0, new=1.0))
    assert [line.split()[:2] for line in lines] == [
        ["3.00", "slower"], ["1.10", "as"], ["0.50", "faster"], ["-", "gone"], ["-", "new"],
    ]  # fmt: skip


def test_on_a_machine_that_became_slower_the_multiples_count() -> None:
    old = Run(MACHINE, [Figure("files", "ours", 2.0, 2.0, "find", 1.0), Figure("files", "find", 2.0, 2.0, "find", 1.0)])
    new = Run(MACHINE, [Figure("files", "ours", 6.0, 6.0, "find", 1.5), Figure("files", "find", 4.0, 4.0, "find", 1.0)])
    assert [line.split()[:2] for line in changes(old, new)] == [["2.00", "slower"], ["1.50", "slower"]]
    assert "(1.00 -> 1.50 x find)" in changes(old, new)[1]


@pytest.mark.parametrize("text", ["", "[]", '{"figures": []}', '{"machine": {}, "figures": [{}]}'])
def test_another_file_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    command = [sys.executable, "-m", "tests.benchmarks.figures", str(path), str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert str(path) in done.stderr
