"""Run the rooms of the lab and gather what was found in them.

`python -m tests.lab.results` keeps the results of the subjects that must grow old in LAB_RESULTS, beside the other tests.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from tests.lab.case import Case, cases_of
from tests.lab.enter import REPOSITORY
from tests.lab.namespaces import end_with_parent
from tests.lab.programs import IS_SUPPORTED

SUBJECTS = sorted(path.stem for path in Path(__file__).parent.glob("cases_*.py"))
_TIMEOUT = 600


@dataclass(frozen=True)
class Result:
    """What came of one case: what the pack did not find, the rows of what it did, and what it said of the innocent twin."""

    missing: list[str]
    rows: dict[str, list[dict[str, str]]]
    errors: list[str]
    twin_rows: list[tuple[str, dict[str, str]]]
    twin_errors: list[str]

    @property
    def is_found(self) -> bool:
        """Whether every query that must report the case did."""
        return not self.missing and not self.errors

    @property
    def is_twin_silent(self) -> bool:
        """Whether the twin was really there and nothing was said of it."""
        return not self.twin_rows and not self.twin_errors

    def explain(self) -> str:
        """What went wrong, in words; empty when nothing did."""
        lines = [f"not found by {name}" for name in self.missing] + self.errors
        lines += [f"the twin is reported by {name}: {row}" for name, row in self.twin_rows] + self.twin_errors
        return "\n".join(lines)


def subject(name: str) -> ModuleType:
    """The module of a subject."""
    return importlib.import_module(f"tests.lab.{name}")


def shares_pids(name: str) -> bool:
    """Whether a subject's room has this host's process list, so that the kernel's counts can be compared."""
    return getattr(subject(name), "SHARES_PIDS", False)


def must_age(name: str) -> bool:
    """Whether what a subject plants is asked about only when it has become old."""
    return hasattr(subject(name), "AGE_SECONDS")


def all_cases() -> list[tuple[str, Case]]:
    """(subject, case) of the whole lab, in the order of the SOP."""
    found = [(name, case) for name in SUBJECTS for case in cases_of(subject(name))]
    return sorted(found, key=lambda pair: (pair[1].step, pair[0]))


def why_not(name: str, case: Case) -> Optional[str]:
    """Why a case cannot be tried here; None when it can."""
    if not IS_SUPPORTED:
        return "the lab has no programs to plant for this architecture"
    if shares_pids(name) and os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC:
        return "not in the initial pid namespace, where alone the kernel's counts can be compared"
    lacking = [command for command in case.needs if shutil.which(command) is None]
    return f"needs {', '.join(lacking)}" if lacking else None


@functools.cache
def run_subject(name: str) -> dict[str, Result]:
    """The results of all cases of a subject, by case name, from one room that is gone afterwards.

    Where LAB_RESULTS names a folder, they are kept there for the other processes of a run of tests.
    """
    answers = _kept(name, Path(os.environ["LAB_RESULTS"])) if "LAB_RESULTS" in os.environ else _in_a_room(name)
    return {answer.pop("case"): Result(**answer) for answer in answers}


def _kept(name: str, folder: Path) -> list[dict[str, Any]]:
    """The answers of a subject's one room, which the first process to ask has: others wait for it, as long as it lives."""
    kept = folder / f"{name}.json"
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            unfinished = kept.with_suffix(".new")
            unfinished.write_text(json.dumps(_in_a_room(name)), encoding="utf-8")
            unfinished.rename(kept)
    answers: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return answers


def _in_a_room(name: str) -> list[dict[str, Any]]:
    flags = ["--mount", "--propagation", "private", "--net", "--fork", "--kill-child"]
    if not shares_pids(name):
        flags.append("--pid")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    # Removed from outside: what is mounted in it is gone with the room.
    with tempfile.TemporaryDirectory(prefix="minehunt-lab-") as folder:
        command = ["unshare", *flags, sys.executable, "-m", "tests.lab.enter", folder, name]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER "):
            answers: list[dict[str, Any]] = json.loads(line[len("ANSWER ") :])
            return answers
    raise RuntimeError(f"{name}: no answer (exit {done.returncode})\n{done.stdout}{done.stderr}")


def main() -> None:
    """Have the results of what must grow old."""
    # As at an error: the room is ended, and its folder removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    end_with_parent(signal.SIGTERM)
    for name in filter(must_age, SUBJECTS):
        if any(why_not(name, case) is None for case in cases_of(subject(name))):
            run_subject(name)


if __name__ == "__main__":
    main()
