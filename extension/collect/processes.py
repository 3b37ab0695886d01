"""What is kept of a process: its program from /proc/PID/exe (deleted and memory-only too), and what procfs says of it.

Read through a procfs that nobody can mount over, where the kernel allows one, so that a hidden process is read as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Optional

from extension.collect.reading import Item, read_file
from tables.host import Host
from tables.host.processes.procfs import Procfs, parse_stat

_TEXTS = (
    "stat",
    "status",
    "cmdline",
    "environ",
    "maps",
    "cgroup",
    "limits",
    "mountinfo",
    "sched",
    "net/tcp",
    "net/tcp6",
    "net/udp",
)
_LINKS = ("exe", "cwd", "root")
_TEXT_LIMIT = 16 << 20
_MAX_DESCRIPTORS = 4096


class Processes:
    """The processes of the host, seen past mounts over /proc."""

    def __init__(self, host: Host) -> None:
        self._procfs: Procfs = host.truth
        self.how = "a private procfs" if host.has_truth else "/proc"

    def start_time(self, pid: int) -> Optional[int]:
        """When the process began, in unix seconds; None where there is none."""
        process = self._procfs.process(pid)
        return None if process is None else process.start_time

    def items(self, pid: int, limit: int) -> Iterator[tuple[str, Item]]:
        """(name, item) for all that is kept of it; one item that says why not where it is gone."""
        folder = f"/proc/{pid}"
        try:
            before = parse_stat(self._procfs.read(f"{pid}/stat")).start_ticks
        except (OSError, ValueError) as error:
            yield "gone", Item(folder, None, {"why_not": f"no such process any more: {error}"})
            return
        for name in _TEXTS:
            yield name, self._named(f"{pid}/{name}", _TEXT_LIMIT)
        yield "links", Item(folder, self._links(pid), {"read_by": f"readlink(2) in {self.how}"})
        yield "open_files", Item(f"{folder}/fd", self._open_files(pid), {"read_by": f"readlink(2) in {self.how}"})
        yield "exe", self._named(f"{pid}/exe", limit)
        try:
            if parse_stat(self._procfs.read(f"{pid}/stat")).start_ticks != before:
                raise OSError(0, "another process took its pid meanwhile")
        except (OSError, ValueError) as error:
            yield "ended", Item(folder, None, {"why_not": f"it ended while it was read: {error}"})

    def file_of(self, pid: int, path: str, limit: int) -> Item:
        """A file as the process sees it, below its own root folder."""
        return self._named(f"{pid}/root/{path.lstrip('/')}", limit)

    def _named(self, name: str, limit: int) -> Item:
        item = read_file(name, limit, self._procfs.fd)
        return Item(f"/proc/{name}", item.data, {**item.facts, "seen_in": self.how})

    def _links(self, pid: int) -> bytes:
        return b"".join(self._link(f"{pid}/{name}", name) for name in _LINKS)

    def _open_files(self, pid: int) -> bytes:
        try:
            fd = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._procfs.fd)
        except OSError as error:
            return f"cannot be listed: {error.strerror}\n".encode()
        try:
            numbers = sorted(filter(str.isdigit, os.listdir(fd)), key=int)
        finally:
            os.close(fd)
        lines = [self._link(f"{pid}/fd/{number}", number) for number in numbers[:_MAX_DESCRIPTORS]]
        more = len(numbers) - len(lines)
        return b"".join((*lines, *([f"and {more} more\n".encode()] if more else ())))

    def _link(self, path: str, name: str) -> bytes:
        try:
            target = os.readlink(os.fsencode(path), dir_fd=self._procfs.fd)
        except OSError as error:
            return f"{name}\tcannot be read: {error.strerror}\n".encode()
        return name.encode() + b"\t" + target.replace(b"\n", b"\\n") + b"\n"
