"""Debian packages of the private runtime, at the versions and hashes of runtime.lock, for whichever architecture.

They come through apt's configured sources into lists of our own: the machine's packages and lists stay as they are, and a
package of another architecture is only unpacked. `python -m build.debian` writes the lock file anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from build.deliver import ROOT, BuildError

LOCK = ROOT / "build" / "runtime.lock"
CACHE = Path(os.environ.get("MINEHUNT_CACHE") or ROOT / ".cache").absolute() / "runtime"
# Python without its standard library's rarely used parts, and the libraries that it and wheels from PyPI need.
PACKAGES = (
    "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "liblzma5", "libpython3.11-minimal", "libpython3.11-stdlib",
    "libsqlite3-0", "libssl3", "libuuid1", "python3.11-minimal", "zlib1g",
)  # fmt: skip
# Debian's name of an architecture for the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_HEADER = "# Debian packages of the private runtime: package, version, architecture, SHA-256. `make lock` writes it.\n"
_ENTRY = re.compile(r"(\S+) (\S+) (\S+) ([0-9a-f]{64})")


@dataclass(frozen=True)
class Locked:
    """One package file."""

    name: str
    version: str
    architecture: str
    sha256: str


def locked(architecture: str) -> list[Locked]:
    """The packages for Debian's `architecture`; BuildError for a line of the lock file that is none, or none for it."""
    found = []
    for number, line in enumerate(LOCK.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise BuildError(f"{LOCK.name}: line {number}: not `package version architecture sha256`")
        found.append(Locked(*entry.groups()))
    chosen = [package for package in found if package.architecture == architecture]
    if {package.name for package in chosen} != set(PACKAGES):
        raise BuildError(f"{LOCK.name}: does not name just the packages of build/debian.py for {architecture}; make lock")
    return chosen


def fetch(packages: Iterable[Locked]) -> list[Path]:
    """The package files, from the cache or through apt; BuildError for one that apt no longer has or that has another hash."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = {package: CACHE / f"{package.sha256}.deb" for package in packages}
    missing = [package for package, file in wanted.items() if not (file.is_file() and _sha256(file) == package.sha256)]
    if missing:
        with tempfile.TemporaryDirectory(prefix="minehunt-apt-") as folder:
            apt = Apt(Path(folder))
            for package in missing:
                wanted[package].unlink(missing_ok=True)
                _keep(apt.download(package), package, wanted[package])
    return list(wanted.values())


def fetch_all() -> None:
    """Have the packages of every architecture in the cache; BuildError as `fetch`."""
    fetch([package for architecture in ARCHITECTURES.values() for package in locked(architecture)])


def unpack(files: Iterable[Path], destination: Path) -> None:
    """Unpack package files below `destination`, running none of their scripts."""
    for file in files:
        _run("dpkg-deb", "--extract", str(file), str(destination))


class Apt:
    """apt with lists and a cache of its own below `folder`, for all architectures of the runtime."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("state/lists/partial", "cache/archives/partial", "files"):
            (folder / name).mkdir(parents=True)
        options = {
            "Dir::State": folder / "state",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache",
            "APT::Architectures": ",".join(ARCHITECTURES.values()),
            # apt's own account may not enter the folder, and warns of that.
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        }
        self._options = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        _run("apt-get", *self._options, "-qq", "update")

    def newest(self) -> list[Locked]:
        """The runtime's packages as apt would install them now, by architecture and name."""
        asked = [f"{name}:{architecture}" for architecture in ARCHITECTURES.values() for name in PACKAGES]
        said = _run("apt-cache", *self._options, "show", "--no-all-versions", *asked)
        found = {}
        for stanza in said.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Architecture|SHA256): (\S+)$", stanza, re.MULTILINE))
            if len(fields) == 4:
                package = Locked(fields["Package"], fields["Version"], fields["Architecture"], fields["SHA256"])
                found[f"{package.name}:{package.architecture}"] = package
        if missing := [name for name in asked if name not in found]:
            raise BuildError(f"apt-cache: knows no {missing[0]}")
        return [found[name] for name in asked]

    def download(self, package: Locked) -> Path:
        """The package's file, whose hash the caller compares."""
        folder = self._folder / "files"
        name = f"{package.name}:{package.architecture}={package.version}"
        try:
            _run("apt-get", *self._options, "-qq", "download", name, cwd=folder)
        except BuildError as error:
            raise BuildError(f"{error}; {LOCK.name} may be older than what apt's sources still have: make lock") from None
        file = next(folder.glob(f"{package.name}_*_{package.architecture}.deb"), None)
        if file is None:
            raise BuildError(f"apt-get: downloaded no file of {name}")
        return file


def _keep(file: Path, package: Locked, target: Path) -> None:
    if (found := _sha256(file)) != package.sha256:
        raise BuildError(f"{package.name} {package.version} ({package.architecture}): SHA-256 {found}, {LOCK.name} has another")
    # Two builds may fetch the same file: each puts it there whole.
    new = target.with_name(f"{target.name}.{os.getpid()}")
    new.write_bytes(file.read_bytes())
    new.replace(target)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(*command: str, cwd: Path = ROOT) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        raise BuildError(f"{command[0]}: not installed; the private runtime is made of Debian's packages, on Debian") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BuildError(f"{command[0]}: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout


def main() -> int:
    """`python -m build.debian`: lock the packages that apt has now."""
    try:
        with tempfile.TemporaryDirectory(prefix="minehunt-apt-") as folder:
            packages = Apt(Path(folder)).newest()
    except (BuildError, OSError) as error:
        print(f"debian: {error}", file=sys.stderr)
        return 1
    lines = (f"{package.name} {package.version} {package.architecture} {package.sha256}\n" for package in packages)
    LOCK.write_text(_HEADER + "".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
