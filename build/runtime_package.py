"""Build the packages minehunt-runtime: the private Python for hosts whose own is missing or older than 3.9.

minehunt.ext starts the Python in /usr/lib/minehunt/runtime where that is installed, and the host's otherwise.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from build import debian, packages, runtime
from build.deliver import ROOT, run, tarball
from extension import __version__

_SUMMARY = "Private Python for minehunt's osquery extension"
_NAME = "minehunt-runtime"


def build(destination: Path) -> list[Path]:
    """Write a .deb, an .rpm and, for hosts with neither, a .tar.gz for each architecture into `destination`; return their paths.

    The last is to be unpacked in the root folder. Raises BuildError.
    """
    built = []
    for architecture in debian.ARCHITECTURES:
        with tempfile.TemporaryDirectory(prefix="minehunt-runtime-package-") as folder:
            stage = Path(folder)
            home = stage / "runtime"
            licences = runtime.build(home, architecture, home=runtime.HOME)
            for name in ("LICENSE", "NOTICE"):
                shutil.copy(ROOT / name, licences / name)
            runtime.compile_all([home / "lib" / runtime.PYTHON])
            runtime.settle(home)
            config = stage / "nfpm.yaml"
            config.write_text(yaml.safe_dump(_package(home, debian.ARCHITECTURES[architecture]), sort_keys=False))
            for packager in packages.FORMATS.values():
                target = destination / _file_name(packager, architecture)
                packages.nfpm(config, packager, target)
                built.append(target)
            target = destination / f"{_NAME}-{__version__}-{architecture}.tar.gz"
            tarball(home, runtime.HOME.lstrip("/"), target)
            built.append(target)
    return built


def _file_name(packager: str, architecture: str) -> str:
    if packager == "deb":
        return f"{_NAME}_{__version__}_{debian.ARCHITECTURES[architecture]}.deb"
    return f"{_NAME}-{__version__}-1.{architecture}.rpm"


def _package(home: Path, architecture: str) -> dict[str, Any]:
    date = packages.date().isoformat()
    owner = {"owner": "root", "group": "root", "mtime": date}
    return {
        "name": _NAME,
        "arch": architecture,
        "platform": "linux",
        "version": __version__,
        "release": "1",
        "version_schema": "none",
        "section": "admin",
        "priority": "optional",
        "maintainer": packages.MAINTAINER,
        "description": f"{_SUMMARY}\n"
        "Python 3.11 with its own C library, below /usr/lib/minehunt/runtime, for hosts\n"
        "without python3 3.9 or newer. Nothing else on the host uses it.",
        "license": "Apache-2.0 and those in /usr/lib/minehunt/runtime/licences",
        "mtime": date,
        "contents": [
            {"dst": "/usr/lib/minehunt", "type": "dir", "file_info": {"mode": 0o755, **owner}},
            {"src": str(home), "dst": runtime.HOME, "type": "tree", "file_info": owner},
        ],
        "deb": {"compression": "gzip"},
        "rpm": {"summary": _SUMMARY, "compression": "gzip", "group": "Applications/System", "buildhost": "localhost"},
    }


def main() -> int:
    """`python -m build.runtime_package FOLDER`."""
    return run("runtime_package", build)


if __name__ == "__main__":
    sys.exit(main())
