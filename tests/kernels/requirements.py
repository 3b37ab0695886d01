"""What the lock files name for the guest's Python, installed from this machine's package index, each file checked by its hash."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from tests.kernels.cache import REPOSITORY, run

_LOCKS = tuple(REPOSITORY / "build" / name for name in ("requirements.lock", "requirements-dev.lock"))
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_5_x86_64")


def locked() -> str:
    """The text of the lock files, for a cache's key."""
    return "".join(lock.read_text() for lock in _LOCKS)


def install(tree: Path) -> None:
    """Install them in `tree` where its Python looks for what no package of the distribution brought."""
    full = run("chroot", tree, "python3", "-c", "import platform; print(platform.python_version())").strip()
    short = full.rpartition(".")[0]
    library = f"usr/local/lib/python{short}"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.writelines(for_python(full))
        wanted.flush()
        run(
            sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps",
            "--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", short,
            *(word for platform in _PLATFORMS for word in ("--platform", platform)),
            "--target", tree / library / "dist-packages", "--no-compile", "--upgrade", "-r", wanted.name,
        )  # fmt: skip
    run("chroot", tree, "python3", "-m", "compileall", "-q", f"/{library}", f"/usr/lib/python{short}")


def for_python(version: str) -> Iterator[str]:
    """The entries that hold for this Python, without their markers, which pip would ask of the Python that it runs in."""
    environment = {
        "python_full_version": version, "python_version": version.rpartition(".")[0], "implementation_name": "cpython",
        "os_name": "posix", "platform_machine": "x86_64", "platform_python_implementation": "CPython",
        "platform_system": "Linux", "sys_platform": "linux",
    }  # fmt: skip
    seen: set[str] = set()
    holds = False
    for line in locked().splitlines():
        if line[:1].isalnum():
            entry = Requirement(line.rstrip("\\ "))
            holds = entry.name not in seen and (entry.marker is None or entry.marker.evaluate(environment))
            if holds:
                seen.add(entry.name)
                yield f"{entry.name}{entry.specifier} \\\n"
        elif holds and line.lstrip().startswith("--hash"):
            yield f"{line}\n"
