"""Build minehunt.ext: the extension, the command line, the pack and all they import, in one file that Python executes."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import tables
from build.deliver import ROOT, BuildError, run, source_date
from build.runtime import HOME
from tables import index

# The private runtime where that is installed (build/runtime_package.py), the host's Python otherwise.
# -I: nothing of the environment or the working folder is imported; -S: nothing of the host's site-packages is.
START = f"""#!/bin/sh
python={HOME}/python3
[ -x $python ] || python=/usr/bin/python3
[ -x $python ] || {{ echo "minehunt needs $python 3.9 or newer, or the package minehunt-runtime" >&2; exit 2; }}
exec $python -IS "$0" "$@"
""".encode()
_MAIN = b"from extension.__main__ import main\n\nmain()\n"
_LOCK = ROOT / "build" / "requirements-ext.lock"
_OWN = {"extension": (".py", ".yaml", ".json", ".html", ".css", ".md"), "tables": (".py", ".yaml"), "packs": (".yaml",)}
# Commands for a person's own terminal, which osquery has no use for.
LEFT_OUT = ("extension/collect/", "extension/watch/", "extension/export/", "extension/fleet/", "extension/plan/commands.py",
             "extension/plan/formats.py", "extension/explain.py")  # fmt: skip
# What is carried of each distribution; of the others in the lock file (rich's highlighters) nothing is imported.
_CARRIED = {
    "click": r"click/",
    "future": r"future/(__init__\.py|utils/)",
    "jinja2": r"jinja2/",
    "markupsafe": r"markupsafe/",
    "osquery": r"osquery/",
    "pyyaml": r"yaml/",
    "rich": r"rich/",
    "thrift": r"thrift/(?!TTornado|TSCons|TZlib|server/TNonblocking|server/THttp|transport/T(Http|SSL|Twisted|Zlib|Sasl))",
}
_LICENCE = re.compile(r"(licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)


def build(destination: Path) -> Path:
    """Write `destination`/minehunt.ext, executable, the same bytes for the same commit; return its path.

    Entries are stored, not deflated: what deflate gives depends on the zlib at hand, and a stored one is imported faster.
    """
    entries = {"__main__.py": _MAIN, **dict(_own_files()), **dict(_carried_files())}
    entries[f"tables/{index.FILE}"] = index.write_index(tables.discover(), tables.modules()).encode()
    target = destination / "minehunt.ext"
    date = time.gmtime(source_date())[:6]
    with target.open("wb") as file:
        file.write(START)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(entries):
                entry = zipfile.ZipInfo(name, date)
                entry.create_system = 3  # Unix, whatever builds it
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, entries[name])
    target.chmod(0o755)
    return target


def _own_files() -> Iterator[tuple[str, bytes]]:
    for folder, endings in _OWN.items():
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            is_ours = path.suffix in endings and path.name != "README.md" and "__pycache__" not in path.parts
            if is_ours and not name.startswith(LEFT_OUT):
                yield name, path.read_bytes()
    for name in ("LICENSE", "NOTICE"):
        yield name, (ROOT / name).read_bytes()


def _carried_files() -> Iterator[tuple[str, bytes]]:
    """The dependencies' Python files, at the locked versions, each with its licence."""
    with tempfile.TemporaryDirectory(prefix="minehunt-build-") as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        options = ["--no-deps", "--no-compile", "--require-hashes", "--target", folder, "-r", str(_LOCK)]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{_LOCK.relative_to(ROOT)}: pip could not install it: {done.stderr.strip().splitlines()[-1:]}")
        found = {_normal(entry.metadata["Name"]): entry for entry in importlib.metadata.distributions(path=[folder])}
        for name, pattern in _CARRIED.items():
            entry = found.get(name)
            if entry is None:
                raise BuildError(f"{_LOCK.relative_to(ROOT)}: does not name {name}")
            licences = 0
            for file in entry.files or []:
                path = Path(str(entry.locate_file(file)))
                if re.match(pattern, str(file)) and path.suffix in (".py", ".txt") and path.is_file():
                    yield str(file), path.read_bytes()
                elif _LICENCE.search(str(file)) and ".dist-info" in str(file):
                    licences += 1
                    yield f"licences/{name}/{path.name}", path.read_bytes()
            # Thrift's wheel leaves its licence out; it is the one that minehunt is under.
            if not licences:
                yield f"licences/{name}/LICENSE", (ROOT / "LICENSE").read_bytes()


def _normal(name: str) -> str:
    return re.sub(r"[-.]+", "_", name).lower()


def main() -> int:
    """`python -m build.extension FOLDER`."""
    return run("extension", build)


if __name__ == "__main__":
    sys.exit(main())
