"""Build everything below dist/, or nothing: `python -m build.dist [--output FOLDER] [--no-runtime] [INDICATOR_LIST…]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from build import debian, extension, fleet, offline, osquery_pack, packages, runtime_package, sbom, warehouse
from build.deliver import EVENTS, PACK, ROOT, BuildError, sha256_sums, whole
from build.siem import deliverable as siem
from extension.engines.embedded import EmbeddedEngine
from extension.pack.check import check_pack
from extension.pack.model import PackError, load_pack
from tables.host import Host


def build(destination: Path, indicators: Sequence[Path] = (), with_runtime: bool = True) -> str:
    """Put all deliverables and their SHA256SUMS into `destination`, in the place of what was there.

    Without `with_runtime` those are left out that carry a Python of their own, which only Debian can build; so are they where
    apt no longer has what runtime.lock names. Returns why they are left out, "" when they are not.
    Raises BuildError or PackError, and leaves `destination` as it was, for whatever cannot be built.
    """
    check()
    with whole(destination) as new:
        for name in ("osquery", "fleet", "packages", "siem", "sbom", "warehouse"):
            (new / name).mkdir()
        extension_file = extension.build(new)
        osquery_pack.build(new / "osquery")
        fleet.build(new / "fleet")
        packages.pack(new / "packages", extension_file, new / "osquery", indicators)
        siem.build(new / "siem")
        sbom.build(new / "sbom")
        warehouse.build(new / "warehouse")
        left_out = _with_runtime(new, extension_file) if with_runtime else "as was asked"
        (new / "SHA256SUMS").write_text(sha256_sums(new))
    return left_out


def _with_runtime(new: Path, extension_file: Path) -> str:
    try:
        debian.fetch_all()
    except BuildError as error:
        return str(error)
    (new / "offline").mkdir()
    offline.build(new / "offline", extension_file)
    runtime_package.build(new / "packages")
    return ""


def check() -> None:
    """Raise PackError, with file and line of each fault, for a pack that must not be shipped."""
    engine = EmbeddedEngine(Host())
    try:
        problems = [problem for folder in (PACK, EVENTS) for problem in check_pack(load_pack(folder), engine)]
    finally:
        engine.close()
    if problems:
        raise PackError(problems)


def main() -> int:
    """0 when all is built; 1, with the reason, when nothing was."""
    parser = argparse.ArgumentParser(prog="make dist", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--no-runtime", action="store_true", help="leave out what carries a Python, as it takes Debian to build")
    parser.add_argument("indicators", nargs="*", type=Path, metavar="INDICATOR_LIST", help="more pools for the packages")
    options = parser.parse_args()
    try:
        left_out = build(options.output, options.indicators, not options.no_runtime)
    except (BuildError, PackError, OSError) as error:
        print(f"nothing was built: {error}", file=sys.stderr)
        return 1
    if left_out:
        print(f"left out are the offline archives and minehunt-runtime: {left_out}", file=sys.stderr)
    print((options.output / "SHA256SUMS").read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
