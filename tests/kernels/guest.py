"""A running guest: qemu without hardware virtualization, a port to its agent, and a snapshot of it idle."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

from tests.kernels.cache import RigError, forget_others, key, made_whole, run
from tests.kernels.images import Image

QEMU = "qemu-system-x86_64"
_MEMORY = "1024"
_SNAPSHOT = "idle"
_BOOT_SECONDS = 240
# How long a command may be silent and still count as running.
_SILENT_SECONDS = 1800
# Emulated mitigations cost time and change nothing of what is looked at.
_KERNEL_ARGUMENTS = "console=ttyS0 panic=-1 mitigations=off net.ifnames=0 loglevel=4 random.trust_cpu=on"


@dataclass(frozen=True)
class Finished:
    """How a command in the guest ended."""

    status: int
    output: str
    errors: str


class Guest:
    """A guest of an image, resumed from its snapshot; use as a context manager, which ends it."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._folder = tempfile.TemporaryDirectory(prefix="guest-")
        self._qemu: subprocess.Popen[bytes] | None = None
        self._port: socket.socket | None = None

    def __enter__(self) -> Guest:  # noqa: PYI034
        try:
            snapshot = _snapshot(self.image)
            disk = self._path("disk.qcow2")
            shutil.copy(snapshot, disk)
            self._start(disk, "-loadvm", _SNAPSHOT)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def boot(self, disk: Path) -> None:
        """Boot from `disk`, which is written to, and wait for the agent."""
        self._start(disk)
        self._frames(lambda _, __: None, _BOOT_SECONDS)

    def save(self) -> None:
        """Keep the state of the running guest in its disk."""
        answer = self._monitor(f"savevm {_SNAPSHOT}")
        if answer.strip():
            raise RigError(f"qemu: savevm: {answer}")

    def run(
        self,
        command: Sequence[str],
        tar: bytes = b"",
        environment: Mapping[str, str] | None = None,
        show: Callable[[bytes, bytes], None] = lambda _, __: None,
    ) -> Finished:
        """Run a command in the guest, in the checkout that `tar` holds (b"": the one sent before).

        `show` gets each piece as it comes, after its kind (b"o" output, b"e" errors). Raises RigError when the guest dies.
        """
        request = {"command": list(command), "environment": dict(environment or {}), "time": time.time(), "size": len(tar)}
        assert self._port is not None
        self._port.sendall(json.dumps(request).encode() + b"\n" + tar)
        parts: dict[bytes, list[bytes]] = {b"o": [], b"e": []}

        def keep(kind: bytes, data: bytes) -> None:
            parts[kind].append(data)
            show(kind, data)

        status = self._frames(keep, _SILENT_SECONDS)
        output, errors = (b"".join(parts[kind]).decode(errors="replace") for kind in (b"o", b"e"))
        return Finished(status, output, errors)

    def close(self) -> None:
        """End the guest."""
        if self._port is not None:
            self._port.close()
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
        self._folder.cleanup()

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def _start(self, disk: Path, *more: str) -> None:
        files = [
            "-drive", f"if=none,id=disk,format=qcow2,file={disk},cache=unsafe",
            "-chardev", f"socket,id=agent,server=on,wait=off,path={self._path('agent')}",
            "-chardev", f"socket,id=monitor,server=on,wait=off,path={self._path('monitor')}",
            "-serial", f"file:{self._path('console')}",
        ]  # fmt: skip
        with self._path("qemu").open("wb") as log:
            self._qemu = subprocess.Popen(
                ["nice", *_machine(self.image), *files, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._port = self._connect("agent")

    def _connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        path = self._path(name)
        while not path.exists():
            time.sleep(0.05)
            self._check_alive()
        connection.connect(str(path))
        return connection

    def _check_alive(self) -> None:
        assert self._qemu is not None
        if self._qemu.poll() is not None:
            said, console = (self._path(name).read_text(errors="replace")[-2000:] for name in ("qemu", "console"))
            raise RigError(f"the guest died (qemu exit {self._qemu.returncode}): {said}\n{console}")

    def _monitor(self, command: str) -> str:
        """What qemu's monitor says to a command."""
        with self._connect("monitor") as connection, connection.makefile("rw") as lines:
            lines.readline()
            for request in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": command}},
            ):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
        return str(answer.get("return", answer))

    def _frames(self, show: Callable[[bytes, bytes], None], silent_seconds: float) -> int:
        """Read frames up to the exit status, which is returned; the others go to `show`."""
        assert self._port is not None
        while True:
            kind, length = struct.unpack(">cI", self._read(5, silent_seconds))
            data = self._read(length, silent_seconds)
            if kind == b"x":
                return int(data)
            show(kind, data)

    def _read(self, length: int, silent_seconds: float) -> bytes:
        assert self._port is not None
        data = b""
        self._port.settimeout(silent_seconds)
        while len(data) < length:
            try:
                more = self._port.recv(length - len(data))
            except TimeoutError:
                console = self._path("console").read_text(errors="replace")[-3000:]
                raise RigError(f"the guest said nothing for {silent_seconds:g} s; its console:\n{console}") from None
            if not more:
                self._qemu and self._qemu.wait(10)
                self._check_alive()
            data += more
        return data


def show_through(kind: bytes, data: bytes) -> None:
    """Hand a command's output on to ours."""
    stream = sys.stdout if kind == b"o" else sys.stderr
    stream.buffer.write(data)
    stream.flush()


def _machine(image: Image) -> list[str]:
    """The part of qemu's command line that a snapshot depends on."""
    return [
        QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", "pc", "-cpu", "qemu64",
        "-accel", "tcg,thread=multi,tb-size=512", "-smp", "1", "-m", _MEMORY,
        "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-append", f"{_KERNEL_ARGUMENTS} rig.init={image.init}",
        "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=agent,name=minehunt", "-mon", "chardev=monitor,mode=control",
    ]  # fmt: skip


@cache
def _qemu_version() -> str:
    return run(QEMU, "--version").splitlines()[0]


def _snapshot(image: Image) -> Path:
    """A disk that holds the state of the image's guest, booted and idle; made where the cache lacks it."""
    kept = image.folder / f"idle-{key(_qemu_version(), *_machine(image))}.qcow2"
    if not kept.exists():
        started = time.monotonic()
        print(f"{image.name}: booting {image.release} for the first time", flush=True)
        with made_whole(kept) as disk:
            run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.disk, "-F", "raw", disk)
            guest = Guest(image)
            try:
                guest.boot(disk)
                guest.run(image.settle)
                guest.save()
            finally:
                guest.close()
        print(f"{image.name}: booted in {time.monotonic() - started:.0f} s", flush=True)
        forget_others(kept, "idle-*")
    return kept
