"""`make test`: the tests side by side, each process as on a host of its own; then those that want this host to themselves.

What the lab plants for minutes before it is asked about is planted at the beginning, where all tests are run.
As an ordinary user they run side by side without namespaces, and those that need root are skipped.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_OWN_HOST = _REPOSITORY / "tests" / "support" / "own_host.sh"
# Many tests wait for something most of the time.
_WORKERS = (os.cpu_count() or 1) + 1
_NOTHING_SELECTED = 5


def run(arguments: list[str]) -> int:
    """Both parts with these arguments of pytest; the first exit status that is a failure, 5 when there was no test in either."""
    prefix = f"{_OWN_HOST} " if os.geteuid() == 0 else ""
    parts = (
        ["--part", "together", "--dist", "loadscope", "--tx", f"{_WORKERS}*popen//python={prefix}{sys.executable}"],
        ["--part", "alone"],
    )
    cache = _REPOSITORY / ".cache"
    cache.mkdir(exist_ok=True)
    # Not in /tmp, of which each process has its own.
    with tempfile.TemporaryDirectory(prefix="lab-", dir=cache) as results:
        environment = {**os.environ, "REPOSITORY": str(_REPOSITORY), "LAB_RESULTS": results}
        together, alone = ([*part, *arguments] for part in parts)
        with aging(environment) if os.geteuid() == 0 and not arguments else contextlib.nullcontext() as background:
            statuses = [_pytest(together, environment)]
            if background is not None:
                background.wait()
            statuses.append(_pytest(alone, environment))
    return next((status for status in statuses if status not in (0, _NOTHING_SELECTED)), min(statuses))


@contextlib.contextmanager
def aging(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process that keeps the results of what must grow old; ended if it has not ended by itself."""
    # A session of its own: an interrupt of the terminal's is for the tests, and it is told to end after them.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.results"], cwd=_REPOSITORY, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _pytest(arguments: list[str], environment: dict[str, str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=_REPOSITORY, env=environment).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
