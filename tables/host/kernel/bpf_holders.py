"""Which processes hold a BPF program or what attaches it: the descriptors in /proc/PID/fd and what fdinfo says of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from tables.host import Host
from tables.host.kernel import bpf_objects
from tables.host.processes.procfs import Process

# The names of the descriptors (kernel/bpf/syscall.c, kernel/events/core.c): anon_inode:bpf-prog, bpf_link, bpf-raw-tracepoint.
_BPF = re.compile(r"anon_inode:\[?bpf[-_]")
_PERF = "anon_inode:[perf_event]"
_NUMBER = re.compile(rb"^(prog|link)_id:\t(\d{1,10})$", re.MULTILINE)
_MAX_PERF = 20_000


class Holders(NamedTuple):
    """The processes that hold each program and each link, by number, and the targets of perf events by program."""

    programs: dict[int, dict[int, Process]]
    links: dict[int, dict[int, Process]]
    targets: dict[int, set[str]]


def parse_fdinfo(data: bytes) -> dict[str, int]:
    """The numbers of program and link in a /proc/PID/fdinfo file, as `prog` and `link`."""
    return {kind.decode("ascii"): int(number) for kind, number in _NUMBER.findall(data)}


def holders(host: Host, check_time: Callable[[], None]) -> Holders:
    """Look through the descriptors of all processes."""
    found = Holders(defaultdict(dict), defaultdict(dict), defaultdict(set))
    procfs = host.truth
    asked = 0
    for process in procfs.processes():
        check_time()
        for fd, link in procfs.open_files(process.pid):
            if _BPF.match(link):
                numbers = parse_fdinfo(procfs.try_read(f"{process.pid}/fdinfo/{fd}", 4096) or b"")
                if "prog" in numbers:
                    found.programs[numbers["prog"]][process.pid] = process
                if "link" in numbers:
                    found.links[numbers["link"]][process.pid] = process
            elif link == _PERF and asked < _MAX_PERF:
                asked += 1
                try:
                    program, target = bpf_objects.perf_target(process.pid, int(fd))
                except OSError:
                    continue
                found.programs[program][process.pid] = process
                found.targets[program].add(target)
    return found
