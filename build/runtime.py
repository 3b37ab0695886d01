"""A Python that needs nothing of the host but its kernel: Debian's python3.11 with the C library and loader that it runs on.

Where it is installed in one place (`home`), its program names its own loader there. Where it may lie anywhere, `python3` is
a script that starts that loader, which needs nothing but a shell.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from build import debian
from build.deliver import BuildError, call, source_date, tool

HOME = "/usr/lib/minehunt/runtime"
PYTHON = "python3.11"
_PROGRAMS = ("minehunt", "python3", PYTHON)
# What nothing of minehunt imports: tests, other interfaces, what builds packages.
_LEFT_OUT = re.compile(
    r"(test|unittest|pydoc_data|idlelib|turtledemo|lib2to3|ensurepip|distutils|tkinter|venv|config-3\.11.*|wsgiref|xmlrpc)"
    r"|(turtle|pydoc|doctest|sitecustomize)\.py|EXTERNALLY-MANAGED"
)
# glibc's loader preloads into every program what the first file names: a rootkit's library would see and change all that
# minehunt does. The second names the host's libraries, which belong to another C library. Neither is read.
_FILES_OF_THE_LOADER = {b"/etc/ld.so.preload\0": b"/dev/null/preload\0\0", b"/etc/ld.so.cache\0": b"/dev/null/cache\0\0"}
_SCRIPT = """#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd -P) || exit 2
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT
exec "$here/lib/{loader}" --library-path "$here/lib" --argv0 "$here/python3" "$here/{python}" "$@"
"""


def build(destination: Path, architecture: str, home: Optional[str] = None, programs: Iterable[Path] = ()) -> Path:
    """Make the runtime in `destination`; the path of its licences, a folder in it.

    `architecture` is the kernel's name; `home` where the folder will lie, None for anywhere; `programs` are folders with
    Python files and extension modules that must run on it. Raises BuildError.
    """
    library = destination / "lib"
    library.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="minehunt-runtime-") as folder:
        root = Path(folder)
        debian.unpack(debian.fetch(debian.locked(debian.ARCHITECTURES[architecture])), root)
        shutil.copy(root / "usr/bin" / PYTHON, destination / PYTHON)
        shutil.copytree(root / "usr/lib" / PYTHON, library / PYTHON, ignore=_ignore)
        _copy_libraries(root, destination, programs)
        licences = destination / "licences"
        for file in sorted((root / "usr/share/doc").glob("*/copyright")):
            licences.mkdir(exist_ok=True)
            shutil.copy(file, licences / file.parent.name)
    loader = loader_of(library)
    _silence(loader)
    if home is None:
        script = destination / "python3"
        script.write_text(_SCRIPT.format(loader=loader.name, python=PYTHON))
    else:
        # --force-rpath: what it loads looks there too, whatever folders the environment names.
        options = ["--set-interpreter", f"{home}/lib/{loader.name}", "--force-rpath", "--set-rpath", f"{home}/lib"]
        call(tool("patchelf"), *options, str(destination / PYTHON))
        (destination / PYTHON).rename(destination / "python3")
    return licences


def compile_all(folders: Iterable[Path]) -> None:
    """Compile all Python files below `folders` for the runtime, which writes nothing: the same bytes for the same files."""
    machine = platform.machine()
    if machine not in debian.ARCHITECTURES:
        raise BuildError(f"the private runtime cannot be built on {machine}")
    with tempfile.TemporaryDirectory(prefix="minehunt-compiler-") as folder:
        compiler = Path(folder) / "runtime"
        build(compiler, machine)
        for one in folders:
            # Paths in tracebacks are relative to the folder, wherever it was built.
            options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(one), "."]
            call("/bin/sh", str(compiler / "python3"), "-IS", "-m", "compileall", *options, cwd=one)


def settle(folder: Path) -> None:
    """Give all files below `folder` the commit's date, and modes that do not depend on who built them."""
    date = source_date()
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name in _PROGRAMS or path.name.startswith("ld-linux") else 0o644)
        os.utime(path, (date, date), follow_symlinks=False)


def _ignore(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if _LEFT_OUT.fullmatch(name)}


def _copy_libraries(root: Path, destination: Path, programs: Iterable[Path]) -> None:
    """Copy the libraries that the program, its modules and `programs` need; a module of which one is not had is removed."""
    had = {path.name: path for path in sorted(root.glob("**/*-linux-gnu/*.so*")) if path.is_file()}
    loader = next(name for name in had if name.startswith("ld-linux"))
    needed = {loader} | _closure([destination / PYTHON], had)
    for module in sorted((destination / "lib" / PYTHON / "lib-dynload").glob("*.so")):
        its = _closure([module], had)
        if its <= had.keys():
            needed |= its
        else:
            module.unlink()
    needed |= _closure((file for folder in programs for file in sorted(folder.rglob("*.so"))), had)
    if missing := sorted(needed - had.keys()):
        raise BuildError(f"{missing[0]}: needed by a program, and in no package of {debian.LOCK.name}")
    for name in sorted(needed):
        shutil.copy(had[name], destination / "lib" / name)


def _closure(files: Iterable[Path], had: dict[str, Path]) -> set[str]:
    """The names of the libraries that `files` need, and that those need which are had."""
    found: set[str] = set()
    waiting = list(files)
    while waiting:
        new = set(call(tool("patchelf"), "--print-needed", str(waiting.pop())).split()) - found
        found |= new
        waiting += [had[name] for name in new if name in had]
    return found


def loader_of(library: Path) -> Path:
    """The C library's loader, in the folder of the runtime's libraries."""
    return next(library.glob("ld-linux*"))


def _silence(loader: Path) -> None:
    content = loader.read_bytes()
    for old, new in _FILES_OF_THE_LOADER.items():
        if content.count(old) != 1 or len(old) != len(new):
            raise BuildError(f"{loader.name}: does not name {old[:-1].decode()} where this is known how to change")
        content = content.replace(old, new)
    loader.write_bytes(content)
