"""Running programs by what they are started as, and the running scripts that start others of them again in a loop."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Optional

from tables.host.processes.executables import DELETED
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.text.programs import SHELLS, Invocation, is_interpreter, resolve
from tables.text.restarts import TEXT_LIMIT, Starts, code_restarts, shell_restarts
from tables.unseen import say_cut

# Where bash and dash keep the script that they run open; it is still there when the file has been deleted.
_SCRIPT_DESCRIPTORS = (255, 10)
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self))/(?:fd/([0-9]{1,6})|stdin)")
_PID_ARGUMENT = re.compile(r"(?:.*=)?([0-9]{2,7})")
_MAX_ARGUMENTS = 64
_TOOL_FOLDERS = ("/bin/", "/sbin/", "/usr/")


@dataclass(frozen=True)
class Running:
    """A process with what it runs: `exe_path` is "" where that cannot be read; a script is given by its absolute path."""

    process: Process
    exe_path: str
    argv: tuple[str, ...]

    @classmethod
    def of(cls, process: Process) -> Optional[Running]:
        """None for kernel threads, zombies, and what is neither readable nor has a command line."""
        if process.is_kernel_thread or (process.stat.state in "ZX" and process.stat.num_threads <= 1):
            return None
        exe_path = process.exe_path or ""
        # Everything is held at once, so not the megabyte that one command line may have.
        data = process.procfs.try_read(f"{process.pid}/cmdline", TEXT_LIMIT) or b""
        if len(data) == TEXT_LIMIT:
            say_cut(f"process {process.pid}: only the first {TEXT_LIMIT} bytes of its arguments were read")
        argv = tuple(os.fsdecode(data.rstrip(b"\0")).split("\0")) if data else ()
        return cls(process, exe_path, argv) if exe_path or argv else None

    @cached_property
    def invocation(self) -> Optional[Invocation]:
        """The script or code that an interpreter runs; None for other programs."""
        if not self.argv:
            return None
        name = self.exe_path.rpartition("/")[2]
        words = (name, *self.argv[1:]) if is_interpreter(name) else self.argv
        if not is_interpreter(words[0].lstrip("-").rpartition("/")[2]) and name != "busybox":
            return None
        found = resolve(words)
        return found if found is not None and is_interpreter(found.name) else None

    @cached_property
    def script_path(self) -> Optional[str]:
        """Absolute path of the script that it runs, as the process itself names it."""
        script = self.invocation.script if self.invocation else None
        if not script or "\0" in script:
            return None
        descriptor = _DESCRIPTOR.fullmatch(script)
        if descriptor:
            # In the process's own words this would be a descriptor of ours.
            link = self.process.procfs.try_readlink(f"{self.process.pid}/fd/{descriptor[1] or 0}") or ""
            return link if link.startswith("/") and not link.endswith(DELETED) else None
        return os.path.normpath(script if script.startswith("/") else os.path.join(self.process.cwd or "/", script))

    @property
    def keys(self) -> Iterator[str]:
        """The absolute paths under which something may start it."""
        if self.script_path:
            yield self.script_path
        if self.invocation is None or not self.exe_path.startswith(_TOOL_FOLDERS):
            yield self.exe_path
            if self.argv and self.argv[0].startswith("/") and self.argv[0] != self.exe_path:
                yield self.argv[0]

    @cached_property
    def watched(self) -> tuple[set[int], set[str]]:
        """The pids and absolute paths among its first arguments."""
        arguments = self.argv[1 : _MAX_ARGUMENTS + 1]
        pids = {int(match[1]) for word in arguments if len(word) < 64 and (match := _PID_ARGUMENT.fullmatch(word))}
        return pids, {path for word in arguments if (path := word.partition("=")[2] or word).startswith("/")}


class Guard(NamedTuple):
    """A script that starts the programs `targets` again in a loop; `code` is its path, or `-c` for code given as an argument.

    `is_deleted`: the script file is gone, what was read is what the shell still holds open.
    """

    running: Running
    code: str
    targets: tuple[Running, ...]
    is_deleted: bool = False


def watching_each_other(among: list[Running]) -> Iterator[tuple[Running, Running]]:
    """Each of these programs that has the pid or path of another among its arguments which has its own; with that other."""
    by_pid = {running.process.pid: running for running in among}
    by_path: dict[str, list[Running]] = {}
    for running in among:
        by_path.setdefault(running.exe_path, []).append(running)
    for running in among:
        pids, paths = running.watched
        others = [by_pid[pid] for pid in pids if pid in by_pid]
        others += [other for path in paths if path != running.exe_path for other in by_path.get(path, ())]
        for other in others:
            back_pids, back_paths = other.watched
            if other is not running and (running.process.pid in back_pids or running.exe_path in back_paths):
                yield running, other
                break


@dataclass
class RunningPrograms:
    """All running programs of one look, found by path."""

    everything: list[Running]
    _by_path: dict[str, list[Running]] = field(init=False)
    _by_parent: dict[int, list[Running]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_path, self._by_parent = {}, {}
        for running in self.everything:
            for key in running.keys:
                self._by_path.setdefault(key, []).append(running)
            self._by_parent.setdefault(running.process.stat.ppid, []).append(running)

    def started_as(self, paths: Iterable[str]) -> list[Running]:
        """The programs that run from any of `paths`, whatever mount namespace they see those in."""
        found = {id(running): running for path in dict.fromkeys(paths) for running in self._by_path.get(path, ())}
        return list(found.values())

    def guards(self, scripts: ProcessFiles, limit: int) -> Iterator[Guard]:
        """The running scripts that restart one of the programs; at most `limit` scripts are read."""
        for running in [running for running in self.everything if running.invocation is not None][:limit]:
            starts, code, is_deleted = _restarts(running, scripts)
            if not starts.names:
                continue
            targets = tuple(
                target
                for target in self._targets(running, starts)
                # A subshell of the guard looks like the guard itself.
                if target.process.pid != running.process.pid
                and (target.exe_path, target.argv) != (running.exe_path, running.argv)
            )
            if targets:
                yield Guard(running, code, targets, is_deleted)

    def _targets(self, guard: Running, starts: Starts) -> list[Running]:
        folders = [guard.process.cwd or "/"]
        if guard.script_path:
            folders.append(os.path.dirname(guard.script_path))
        paths = list(starts.paths(*folders))
        if starts.runs_arguments and guard.invocation is not None:
            given = (word for word in guard.invocation.arguments if "/" in word and len(word) < 4096)
            paths += [os.path.normpath(os.path.join(folders[0], word)) for word in given]
            paths = [path for path in paths if path != guard.script_path]
        found = [target for target in self.started_as(paths) if target.process.mount_namespace == guard.process.mount_namespace]
        bare = set(starts.bare_names)
        for child in self._by_parent.get(guard.process.pid, ()):
            if child.exe_path.rpartition("/")[2] in bare and not child.exe_path.startswith(_TOOL_FOLDERS) and child not in found:
                found.append(child)
        return found


def _restarts(running: Running, scripts: ProcessFiles) -> tuple[Starts, str, bool]:
    """What the script or code of `running` starts in a loop, where that text is from, and whether that file is gone."""
    invocation = running.invocation
    assert invocation is not None
    is_shell = invocation.is_shell_code or invocation.name in SHELLS
    find = shell_restarts if is_shell else code_restarts
    if invocation.code is not None:
        return find(invocation.code), "-c", False
    if invocation.script is None:
        return Starts((), ()), "", False
    path = running.script_path
    data = scripts.read(running.process.pid, path, TEXT_LIMIT) if path else None
    if data is not None:
        return find(data.decode("utf-8", "surrogateescape")), path or "", False
    data = _open_script(running.process) if is_shell else None
    return find((data or b"").decode("utf-8", "surrogateescape")), path or invocation.script, True


def _open_script(process: Process) -> Optional[bytes]:
    """The script that a shell still holds open after it was deleted."""
    for number in _SCRIPT_DESCRIPTORS:
        path = f"{process.pid}/fd/{number}"
        link = process.procfs.try_readlink(path)
        try:
            # Only what was deleted: what is still there, but not read, may be on a file system that keeps us waiting.
            if link and link.endswith(DELETED) and stat.S_ISREG(process.procfs.stat(path).st_mode):
                return process.procfs.try_read(path, TEXT_LIMIT)
        except OSError:
            continue
    return None
