"""Build dist/sbom/: what is in the extension and in the command, as CycloneDX lists made from the lock files.

Format: cyclonedx.org/docs/1.6/json; made by cyclonedx-py, with the versions and hashes that were installed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from build.deliver import ROOT, BuildError, call, run, source_date, tool

# name of the list: lock file
LISTS = {
    "minehunt-extension": "requirements-ext.lock",
    "minehunt-command": "requirements.lock",
    "minehunt-fleet": "requirements-fleet.lock",
}


def build(destination: Path) -> None:
    """Write one NAME.cdx.json for each lock file into `destination`; the same bytes for the same commit."""
    program = tool("cyclonedx-py")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source_date()), "PYTHONWARNINGS": "ignore"}
    for name, lock in LISTS.items():
        target = destination / f"{name}.cdx.json"
        command = [program, "requirements", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
        command += ["--output-format", "JSON", "--output-file", str(target), str(ROOT / "build" / lock)]
        try:
            call(*command, env=environment)
        except BuildError as error:
            raise BuildError(f"{lock}: {error}") from None


def main() -> int:
    """`python -m build.sbom FOLDER`."""
    return run("sbom", build)


if __name__ == "__main__":
    sys.exit(main())
