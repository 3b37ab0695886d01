"""Build dist/offline/: an archive for each architecture from which a suspicious host is triaged with nothing of its own.

In it: the private runtime, the command line with what that imports (apsw, psutil …), the pack, all licences. It needs a
shell and a kernel; it installs nothing, asks no network, and writes nothing into its folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from build import debian, extension, packages, runtime
from build.deliver import ROOT, BuildError, run, tarball

# What the command line imports besides what minehunt.ext carries, by distribution: folders of it.
_PACKAGES = {
    "antlr4_python3_runtime": "antlr4", "apsw": "apsw", "dnspython": "dns", "jeepney": "jeepney", "markupsafe": "markupsafe",
    "psutil": "psutil", "publicsuffixlist": "publicsuffixlist", "sqlglot": "sqlglot", "stix2_patterns": "stix2patterns",
}  # fmt: skip
_LEFT_OUT = shutil.ignore_patterns("tests", "test", "sqlite_extra_binaries", "*.pyi", "*.c", "*.h", "__pycache__", "update.py")
_LICENCE = re.compile(r"(licen[cs]e|copying|notice)[^/]*", re.IGNORECASE)
_LOCK = ROOT / "build" / "requirements.lock"
# Wheels built for glibc up to that of the runtime.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_LAUNCHER = """#!/bin/sh
# Triage this host with the Python that lies beside this file: ./minehunt triage
case $0 in
    */*) here=$(cd "${{0%/*}}" && pwd -P) || exit 2 ;;
    *) here=$(pwd -P) ;;
esac
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT
if ! "$here/runtime/lib/{loader}" --verify "$here/runtime/python3.11" >/dev/null 2>&1; then
    echo "minehunt: no program in $here can run: this is no {architecture}, or the folder is mounted noexec;" \\
        "copy it to where programs may run, or mount -o remount,exec" >&2
    exit 2
fi
exec "$here/runtime/python3" -IS -B "$here/program" "$@"
"""
_README = """minehunt for one host, {architecture}, offline

    tar -xzf {name}.tar.gz
    ./{name}/minehunt triage

As root, for the whole answer. Nothing is installed, no network is used, and nothing is written into this folder, which may lie
on a read-only medium. Needed are a Linux kernel from 3.10 on and a shell (busybox will do).
If it says that no program can run: the folder lies on a file system mounted noexec, as USB sticks often are. Copy it elsewhere
(a tmpfs changes no disk of the host: mount -t tmpfs -o exec tmpfs /mnt), or remount that with exec.
Where this host has osquery, the triage asks that; --engine embedded does without it.
The loader in runtime/ does not read /etc/ld.so.preload: a library that is preloaded there neither runs in minehunt nor hides
anything from it.
{proof}The licences of all that is in here are in licences/; the sources of Debian's packages are in Debian's archive, at
the versions that licences/debian-packages names.
"""
_UNPROVEN = "Unproven: this archive has run in an emulator (qemu-{architecture}), and on no {architecture} machine.\n"


def build(destination: Path, extension_file: Path, architectures: Iterable[str] = ()) -> list[Path]:
    """Write minehunt-triage-ARCHITECTURE.tar.gz into `destination` for each architecture, or for these; return their paths."""
    built = []
    for architecture in architectures or debian.ARCHITECTURES:
        name = f"minehunt-triage-{architecture}"
        with tempfile.TemporaryDirectory(prefix="minehunt-offline-") as folder:
            top = Path(folder) / name
            _fill(top, architecture, extension_file)
            runtime.settle(top)
            target = destination / f"{name}.tar.gz"
            tarball(top, name, target)
        built.append(target)
    return built


def _fill(top: Path, architecture: str, extension_file: Path) -> None:
    program, licences = top / "program", top / "licences"
    with zipfile.ZipFile(extension_file) as archive:
        archive.extractall(program)  # it was built here
    (program / "licences").rename(licences)
    for name in ("LICENSE", "NOTICE"):
        (program / name).rename(top / name)
    _add_packages(program, licences, architecture)
    of_runtime = runtime.build(top / "runtime", architecture, programs=[program])
    for file in sorted(of_runtime.iterdir()):
        file.rename(licences / f"debian-{file.name}")
    of_runtime.rmdir()
    packages = debian.locked(debian.ARCHITECTURES[architecture])
    (licences / "debian-packages").write_text("".join(f"{package.name} {package.version}\n" for package in packages))
    runtime.compile_all([program, top / "runtime" / "lib" / runtime.PYTHON])
    loader = runtime.loader_of(top / "runtime" / "lib").name
    (top / "minehunt").write_text(_LAUNCHER.format(loader=loader, architecture=architecture))
    proof = "" if architecture == "x86_64" else _UNPROVEN.format(architecture=architecture)
    (top / "README").write_text(_README.format(architecture=architecture, name=top.name, proof=proof))


def _add_packages(program: Path, licences: Path, architecture: str) -> None:
    """Add the locked wheels of `architecture` to the folder `program`, and their licences."""
    with tempfile.TemporaryDirectory(prefix="minehunt-wheels-") as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps"]
        command += [
            "--no-compile",
            "--require-hashes",
            "--only-binary=:all:",
            "--implementation",
            "cp",
            "--python-version",
            "3.11",
        ]
        command += [word for platform in _PLATFORMS for word in ("--platform", f"{platform}_{architecture}")]
        done = subprocess.run([*command, "--target", folder, "-r", str(_LOCK)], capture_output=True, text=True)
        if done.returncode:
            raise BuildError(
                f"{_LOCK.name}: pip could not install it for {architecture}: {done.stderr.strip().splitlines()[-1:]}"
            )
        wheels = Path(folder)
        for distribution, package in _PACKAGES.items():
            described = next(wheels.glob(f"{distribution}-*.dist-info"), None)
            if described is None:
                raise BuildError(f"{_LOCK.name}: does not name {distribution}")
            shutil.copytree(wheels / package, program / package, dirs_exist_ok=True, ignore=_LEFT_OUT)
            # antlr4's wheel leaves its licence out.
            _copy_licences([*described.rglob("*"), packages.FILES / f"{package}.LICENSE"], licences / distribution)


def _copy_licences(files: Iterable[Path], destination: Path) -> None:
    found = [file for file in files if file.is_file() and _LICENCE.search(file.name)]
    if not found:
        raise BuildError(f"{destination.name}: brings no licence")
    destination.mkdir(exist_ok=True)
    for file in found:
        shutil.copy(file, destination)


def _alone(destination: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="minehunt-extension-") as folder:
        build(destination, extension.build(Path(folder)))


def main() -> int:
    """`python -m build.offline FOLDER`."""
    return run("offline", _alone)


if __name__ == "__main__":
    sys.exit(main())
