"""Build dist/sbom/: what is in the extension and in the command, as CycloneDX lists made from the lock files.

Format: cyclonedx.org/docs/1.6/json; made by cyclonedx-py, with the versions and hashes that were installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from build.deliver import ROOT, BuildError, run, source_date

# name of the list: lock file
LISTS = {
    "minehunt-extension": "requirements-ext.lock",
    "minehunt-command": "requirements.lock",
    "minehunt-fleet": "requirements-fleet.lock",
}


def build(destination: Path) -> None:
    """Write one NAME.cdx.json for each lock file into `destination`; the same bytes for the same commit."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    if not program.exists():
        raise BuildError(f"{program.name}: not installed; make setup of the development tools brings it (make dist does)")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source_date()), "PYTHONWARNINGS": "ignore"}
    for name, lock in LISTS.items():
        target = destination / f"{name}.cdx.json"
        command = [str(program), "requirements", "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
        command += ["--output-format", "JSON", "--output-file", str(target), str(ROOT / "build" / lock)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"{program.name}: {lock}: {(done.stderr or done.stdout).strip()}")


def main() -> int:
    """`python -m build.sbom FOLDER`."""
    return run("sbom", build)


if __name__ == "__main__":
    sys.exit(main())
