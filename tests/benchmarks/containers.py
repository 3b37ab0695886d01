"""containers with 500 of Docker's, and process_gpu_usage on this machine."""

from __future__ import annotations

import functools
from pathlib import Path

from tables.containers.containers import containers
from tables.host import Host
from tables.host.gpu.holders import find_devices
from tables.processes.process_gpu_usage import process_gpu_usage
from tests.benchmarks.goals import Goal
from tests.benchmarks.measure import BenchmarkError, Options, compare, duration, measure, profile, scan, show, timed
from tests.support import planted_containers
from tests.support.planted_files import plant

CONTAINERS = 500
_CONTAINERS = Goal("<= 150 ms", 0.150, "Each container's files are opened and parsed anew when they change: 25 us each.")
_NO_GPU = Goal("<= 20 ms without a GPU", 0.020, "Only folders of /proc and /dev are looked at.")


def run(options: Options) -> None:
    """Print how long both tables take."""
    root = options.folder / "containers"
    _plant(root)
    host = Host(str(root))
    look = functools.partial(scan, containers, host)
    first = measure("first call", timed(look), 1)
    if (found := look()) != CONTAINERS:
        raise BenchmarkError(f"{found} rows of {CONTAINERS} containers")
    live = Host()
    gpu = functools.partial(scan, process_gpu_usage, live)
    rows = compare({"containers": timed(look), "process_gpu_usage": timed(gpu)}, 5 if options.quick else 11)
    rows[0].goal, rows[1].goal = _CONTAINERS, None if any(find_devices(live.files)) else _NO_GPU
    note = f"first call, which reads all files and loads the indicators: {duration(first.best)}"
    show(f"containers of {CONTAINERS}, and process_gpu_usage", rows, None, note)
    if options.profile:
        profile("containers", look)


def _plant(root: Path) -> None:
    write = functools.partial(plant, root)
    for number in range(CONTAINERS):
        environ = [f"VARIABLE_{each}={number}-{each}" for each in range(30)]
        binds = [f"/srv/{number}/{each}:/data/{each}" for each in range(4)]
        argv = ["/docker-entrypoint.sh", "nginx", "-g", f"daemon off; worker_processes {number};"]
        planted_containers.docker(write, f"web-{number}", "nginx:1.25", argv, environ=environ, Binds=binds)
