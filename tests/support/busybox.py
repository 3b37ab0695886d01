"""Busybox in a root folder of the test's own: the smallest system that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def libraries() -> tuple[str, ...]:
    """The loader and the libraries that this host's busybox needs; none for a static one (Debian has both)."""
    told = subprocess.run(["ldd", _busybox()], capture_output=True, text=True, env={"LC_ALL": "C"}).stdout
    return tuple(re.findall(r"(/\S+) \(0x", told))


def install_busybox(root: Path, *applets: str) -> None:
    """Put busybox, what it needs and these of its commands into /bin of `root`."""
    (root / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(_busybox(), root / "bin/busybox")
    for library in libraries():
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for applet in applets:
        (root / "bin" / applet).symlink_to("busybox")


def _busybox() -> str:
    found = shutil.which("busybox")
    if found is None:
        raise FileNotFoundError("no busybox on PATH")
    return found
