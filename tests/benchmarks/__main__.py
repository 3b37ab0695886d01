"""`make bench`: minehunt measured beside unhide, psutil, ss and C, in one run on one machine."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tables.errors import TableError
from tests.benchmarks import connections, containers, fleet, hidden, pack_day, processes, recent_files, startup, suite, triage
from tests.benchmarks.figures import Run
from tests.benchmarks.goals import conclusion
from tests.benchmarks.measure import FIGURES, REPOSITORY, BenchmarkError, Options

_SUBJECTS = {
    "hidden": hidden.run,
    "processes": processes.run,
    "connections": connections.run,
    "containers": containers.run,
    "files": recent_files.run,
    "triage": triage.run,
    "startup": startup.run,
    "fleet": fleet.run,
    "day": pack_day.run,
    "tests": suite.run,
}
# A quarter of an hour, on which nothing that ships depends.
_ON_REQUEST = ("tests",)
_COULD_NOT_RUN = 2


def main() -> int:
    """Measure the subjects asked for; 1 when one of them failed, 2 when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "subjects", nargs="*", metavar="SUBJECT", help=f"{', '.join(_SUBJECTS)} (default: all but {_ON_REQUEST[0]})"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and without what takes minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures, for make bench-compare")
    parser.add_argument("--profile", action="store_true", help="also show where the time of a table goes")
    arguments = parser.parse_args()
    unknown = set(arguments.subjects) - set(_SUBJECTS)
    if unknown:
        parser.error(f"unknown subject {min(unknown)!r}: known are {', '.join(_SUBJECTS)}")
    if os.geteuid() != 0:
        print("the benchmarks need root: they set pid_max and look into every process", file=sys.stderr)
        return _COULD_NOT_RUN
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As on Ctrl-C, whatever was started or set is undone on the way out.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # An installed package is compiled, whatever this environment wants of its own files.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": load, "python": platform.python_version()}
    print("Linux {kernel}, {cpus} CPUs, load {load}, Python {python}".format(**machine), flush=True)
    subjects = arguments.subjects or [name for name in _SUBJECTS if name not in _ON_REQUEST]
    succeeded = []
    for name in subjects:
        # One's million files would be all that the next one sees.
        with tempfile.TemporaryDirectory(prefix="minehunt-bench-") as folder:
            succeeded.append(_measured(name, Options(arguments.quick, arguments.profile, Path(folder))))
    print(conclusion())
    if arguments.json:
        Run({**machine, "commit": _commit()}, FIGURES).write(arguments.json)
    return 0 if all(succeeded) else 1


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True)
    return done.stdout.strip()


def _measured(name: str, options: Options) -> bool:
    """Measure one subject; False, after a message, when that failed."""
    try:
        _SUBJECTS[name](options)
    except (BenchmarkError, TableError, OSError, subprocess.SubprocessError, AssertionError) as error:
        sys.stdout.flush()
        print(f"\n{name}: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
