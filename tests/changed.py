"""`make check`: lint and types apart, the tests of what differs from the last commit; tests mirror the folders of the source."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tests.suite import run

_REPOSITORY = Path(__file__).resolve().parents[1]
# What lies in no folder that tests mirror, by its beginning.
_OTHERS = {
    "packs/": "tests/packs",
    "tables/indicators/data/": "tests/tables/indicators",
    "tests/support/": "",
    "tests/lab/": "tests/lab",
}


def related_tests(changed: Iterable[str], repository: Path = _REPOSITORY) -> list[str]:
    """The test files, or else the folders of tests, of files given by their path in the repository; sorted, each once."""
    return sorted({found for path in changed if (found := _test_of(PurePosixPath(path), repository))})


def _test_of(path: PurePosixPath, repository: Path) -> str:
    for start, tests in _OTHERS.items():
        if str(path).startswith(start):
            return tests
    if path.parts[0] == "tests":
        return str(path) if path.name.startswith("test_") and (repository / path).exists() else ""
    mirrored = PurePosixPath("tests", path.parent)
    test = mirrored / f"test_{path.name}"
    if path.suffix != ".py" or len(path.parts) < 2:
        return ""
    return str(test) if (repository / test).exists() else str(mirrored) if (repository / mirrored).is_dir() else ""


def main() -> int:
    """Run them; 0 when there are none."""
    told = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z"],
        cwd=_REPOSITORY, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    tests = related_tests(entry[3:] for entry in told.split("\0") if entry)
    print("tests of what differs from the last commit:", " ".join(tests) or "none", flush=True)
    return run(["-q", *tests]) if tests else 0


if __name__ == "__main__":
    sys.exit(main())
