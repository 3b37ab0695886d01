"""Start real processes whose executable is odd: copies of the shell under any path and name, memfds, containers."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, NamedTuple

# A shell needs no other file than itself, waits for its standard input, and runs under any name.
SHELL = os.path.realpath("/bin/sh")
WAIT = ("-c", "echo ready; read line")
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine())


class Planter:
    """Starts processes and ends each of them, by its own handle, with `clean`."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, path: str | Path, *arguments: str, argv0: str | bytes | None = None, **options: Any) -> int:
        """Run `path` under the name `argv0` and return its pid once it has said that it is ready."""
        process = subprocess.Popen(
            [str(path) if argv0 is None else argv0, *(arguments or WAIT)],
            executable=str(path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )
        self.started.append(process)
        output: IO[bytes] | None = process.stdout
        assert output is not None
        line = output.readline()
        assert line == b"ready\n", f"{path} did not start: {line!r}"
        return process.pid

    def python(self, code: str, **options: Any) -> int:
        """Run a piece of Python, which must print `ready` and flush it, and return its pid."""
        return self(os.path.realpath(sys.executable), "-c", code, **options)

    def clean(self) -> None:
        """End and reap everything that was started."""
        for process in self.started:
            process.kill()
        for process in self.started:
            process.communicate()


def copy_shell(target: Path) -> Path:
    """A copy of the shell at `target`, its folders made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHELL, target)
    return target


def fill_root(root: Path, program: str) -> None:
    """Make `root` a root folder in which a copy of the shell, with its libraries, can run as `program`."""
    copy_shell(root / program.lstrip("/"))
    listing = subprocess.run(["ldd", SHELL], capture_output=True, text=True, check=True).stdout
    for word in listing.split():
        if word.startswith("/"):
            library = root / word.lstrip("/")
            library.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, library)


class Memfd(NamedTuple):
    """How to start the shell from memory: under what memfd name, with which seals, called what."""

    name: str
    seals: int
    argv0: str = "worker"

    @property
    def code(self) -> str:
        """The Python that does it and becomes it."""
        return f"""
import fcntl, os
fd = os.memfd_create({self.name!r}, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
os.write(fd, open({SHELL!r}, "rb").read())
if {self.seals}:
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, {self.seals})
os.execv(f"/proc/self/fd/{{fd}}", {[self.argv0, *WAIT]!r})
"""


def container_code(root: Path, program: str, argv0: str, layers: str = "") -> str:
    """Python that moves into `root` in a mount namespace of its own, as a container runtime does, and runs `program`.

    `layers` are the options of an overlay that is mounted at `root`.
    """
    kind = (b"overlay", b"overlay", 0, layers.encode()) if layers else (os.fsencode(root), None, 0x1000, None)
    return f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result:
        raise OSError(ctypes.get_errno(), "container")
check(libc.unshare(0x00020000))
check(libc.mount(b"none", b"/", None, 0x44000, None))
check(libc.mount({kind[0]!r}, {os.fsencode(root)!r}, *{kind[1:]!r}))
os.chdir({str(root)!r})
check(libc.syscall({PIVOT_ROOT}, b".", b"."))
check(libc.umount2(b".", 2))
os.chdir("/")
os.execv({program!r}, {[argv0, *WAIT]!r})
"""
