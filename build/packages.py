"""Build the .deb and the .rpm with nfpm: the extension, the command, the pack, example configuration, indicator lists.

Lay-out: nfpm.goreleaser.com/docs/configuration; Debian Policy and Fedora's guidelines as lintian and rpmlint check them.
"""

from __future__ import annotations

import datetime
import functools
import gzip
import shutil
import sys
import tempfile
from collections.abc import Sequence
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import yaml

from build import extension, manual, osquery_pack
from build.deliver import PACK, ROOT, BuildError, call, source_date, tool
from extension import __version__
from tables.errors import TableError
from tables.indicators.pools import PoolIndicators, add_list

FILES = ROOT / "build" / "package_files"
_CONFIG = "config|noreplace"
# rpm removes only the folders that it was told of.
_FOLDERS = (
    "/etc/minehunt", "/etc/minehunt/indicators.d", "/usr/lib/minehunt", "/usr/share/minehunt",
    "/usr/share/minehunt/cryptominer_triage", "/usr/share/doc/minehunt",
)  # fmt: skip
# Those of events are opt-in: the site adds them to its packs where it records events.
_EVENT_PACKS = "cryptominer_events_*.conf"
_OSQUERY_FILES = ("cryptominer_triage.conf", "osquery.conf", "osquery.flags", "extensions.load")
_SUMMARY = "Hunts cryptominers: osquery extension and query pack"
# A site that rebuilds the packages puts its own address here.
MAINTAINER = "minehunt maintainers <maintainers@minehunt.invalid>"
# name: nfpm's packager
FORMATS = {"deb": "deb", "rpm": "rpm"}


def build(destination: Path, indicators: Sequence[Path] = ()) -> list[Path]:
    """Build what goes into the packages, then them, as `pack` does."""
    with tempfile.TemporaryDirectory(prefix="minehunt-contents-") as folder:
        built = Path(folder)
        extension.build(built)
        osquery_pack.build(built)
        return pack(destination, built / "minehunt.ext", built, indicators)


def pack(destination: Path, extension_file: Path, osquery: Path, indicators: Sequence[Path] = ()) -> list[Path]:
    """Write one package a format into `destination`, of a built extension and the folder of the osquery files.

    The lists in `indicators` go into /etc/minehunt/indicators.d/. Raises BuildError for one that minehunt would refuse, and
    when nfpm fails.
    """
    for file in indicators:
        check_list(file)
    with tempfile.TemporaryDirectory(prefix="minehunt-packages-") as folder:
        stage = Path(folder)
        for file in (extension_file, *(osquery / name for name in _OSQUERY_FILES), *osquery.glob(_EVENT_PACKS)):
            shutil.copy(file, stage)
        _documents(stage)
        config = stage / "nfpm.yaml"
        built = []
        for name, packager in FORMATS.items():
            config.write_text(yaml.safe_dump(_package(stage, indicators, name), sort_keys=False))
            target = destination / _file_name(name)
            nfpm(config, packager, target)
            built.append(target)
    return built


def check_list(file: Path) -> None:
    """Raise BuildError, naming file and line, for an indicator list that minehunt would refuse."""
    try:
        add_list(PoolIndicators(), file.read_text(encoding="utf-8"), str(file), "")
    except (TableError, OSError, ValueError) as error:
        raise BuildError(f"{file}: {error}") from None


def _file_name(kind: str) -> str:
    return f"minehunt_{__version__}_all.deb" if kind == "deb" else f"minehunt-{__version__}-1.noarch.rpm"


def _documents(stage: Path) -> None:
    """What every package has to have: its licence, its changes, a manual page, an example configuration."""
    today, note = date(), "See CHANGELOG.md.gz."
    rpm = [{"semver": f"{__version__}-1", "date": today.isoformat(), "packager": MAINTAINER, "changes": [{"note": note}]}]
    (stage / "changes.yaml").write_text(yaml.safe_dump(rpm))
    deb = f"minehunt ({__version__}) unstable; urgency=medium\n\n  * {note}\n\n -- {MAINTAINER}  {format_datetime(today)}\n"
    for name, content in {
        "changelog.gz": deb.encode(),
        "CHANGELOG.md.gz": (ROOT / "CHANGELOG.md").read_bytes(),
        "minehunt.1.gz": (FILES / "minehunt.1").read_bytes(),
    }.items():
        (stage / name).write_bytes(gzip.compress(content, 9, mtime=0))
    for target, text in _manual().items():
        data = text.encode()
        (stage / Path(target).name).write_bytes(gzip.compress(data, 9, mtime=0) if target.endswith(".gz") else data)
    licence = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: minehunt\n\n"
        "Files: *\nCopyright: the minehunt authors\nLicense: Apache-2.0\n"
        " On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.\n"
        " .\n The licences of what minehunt.ext carries are in it: unzip -p /usr/lib/minehunt/minehunt.ext 'licences/*'\n"
    )
    (stage / "copyright").write_text(licence + "".join(f" {line}".rstrip() + "\n" for line in _notice()))
    shutil.copy(FILES / "minehunt.yaml", stage)


@functools.cache
def _manual() -> dict[str, str]:
    """Manual pages and shell completions by their path on the host."""
    return {**{f"{target}.gz": text for target, text in manual.pages().items()}, **manual.completions()}


def date() -> datetime.datetime:
    """The date that all packaged files carry."""
    return datetime.datetime.fromtimestamp(source_date(), datetime.timezone.utc)


def _notice() -> list[str]:
    return [line or "." for line in (ROOT / "NOTICE").read_text().splitlines()]


def _package(stage: Path, indicators: Sequence[Path], kind: str) -> dict[str, Any]:
    doc = "/usr/share/doc/minehunt"
    files: list[dict[str, Any]] = [
        _file(stage / "minehunt.ext", osquery_pack.EXTENSION_PATH, 0o755),
        {"src": "../lib/minehunt/minehunt.ext", "dst": "/usr/bin/minehunt", "type": "symlink"},
        _file(FILES / "minehunt-attach", "/usr/lib/minehunt/minehunt-attach", 0o755),
        _file(FILES / "minehunt-attach.service", "/usr/lib/systemd/system/minehunt-attach.service"),
        *({"dst": path, "type": "dir", "file_info": {"mode": 0o755}} for path in _FOLDERS),
        _file(stage / "minehunt.yaml", "/etc/minehunt/minehunt.yaml", type=_CONFIG),
        _file(stage / "cryptominer_triage.conf", osquery_pack.PACK_PATH, type=_CONFIG),
        *(_file(path, f"/usr/share/minehunt/{path.name}") for path in sorted(stage.glob(_EVENT_PACKS))),
        *(_file(path, f"/etc/minehunt/indicators.d/{path.name}", type=_CONFIG) for path in indicators),
        *(_file(stage / name, f"/usr/share/minehunt/{name}") for name in ("osquery.conf", "osquery.flags", "extensions.load")),
        *(_file(path, f"/usr/share/minehunt/cryptominer_triage/{path.name}") for path in sorted(PACK.glob("*.yaml"))),
    ]
    documents = {
        "/usr/share/man/man1/minehunt.1.gz": stage / "minehunt.1.gz",
        **{target: stage / Path(target).name for target in _manual()},
        f"{doc}/CHANGELOG.md.gz": stage / "CHANGELOG.md.gz",
        f"{doc}/README.md": ROOT / "README.md",
    }
    if kind == "deb":
        overrides = _file(FILES / "lintian-overrides", "/usr/share/lintian/overrides/minehunt")
        files += [_file(source, target) for target, source in documents.items()]
        files += [_file(stage / name, f"{doc}/{name}") for name in ("copyright", "changelog.gz")] + [overrides]
    else:
        files += [_file(source, target, type="doc") for target, source in documents.items()]
        files += [_file(ROOT / name, f"/usr/share/licenses/minehunt/{name}", type="license") for name in ("LICENSE", "NOTICE")]
    info = {"owner": "root", "group": "root", "mtime": date().isoformat()}
    return {
        "name": "minehunt",
        "arch": "all",
        "platform": "linux",
        "version": __version__,
        "release": "1" if kind == "rpm" else "",
        "version_schema": "none",
        "section": "admin",
        "priority": "optional",
        "maintainer": MAINTAINER,
        "description": f"{_SUMMARY}\n"
        "Tables for hidden processes, mining pool connections, start-up commands and\n"
        "more, and a pack that schedules them after an 18-step response procedure.",
        "license": "Apache-2.0",
        "mtime": date().isoformat(),
        # For a .deb nfpm would give it the form of no Debian changelog.
        **({"changelog": str(stage / "changes.yaml")} if kind == "rpm" else {}),
        "depends": ["(minehunt-runtime or python3 >= 3.9)" if kind == "rpm" else "minehunt-runtime | python3 (>= 3.9)"],
        "contents": [{**entry, "file_info": {**info, **entry.get("file_info", {})}} for entry in files],
        "scripts": {
            "postinstall": str(FILES / "postinstall.sh"),
            "preremove": str(FILES / "preremove.sh"),
        },
        "deb": {"compression": "gzip"},
        "rpm": {"summary": _SUMMARY, "compression": "gzip", "group": "Applications/System", "buildhost": "localhost"},
    }


def _file(source: Path, target: str, mode: int = 0o644, **more: Any) -> dict[str, Any]:
    return {"src": str(source), "dst": target, "file_info": {"mode": mode}, **more}


def nfpm(config: Path, packager: str, target: Path) -> None:
    """Write one package, as nfpm's file of configuration has it; BuildError with nfpm's words when that fails."""
    call(tool("nfpm"), "package", "--config", str(config), "--packager", packager, "--target", str(target))
    target.chmod(0o644)


def main() -> int:
    """`python -m build.packages FOLDER [INDICATOR_LIST…]`."""
    if len(sys.argv) < 2:
        print("usage: python -m build.packages FOLDER [INDICATOR_LIST…]", file=sys.stderr)
        return 2
    try:
        print(*build(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]), sep="\n")
    except (BuildError, OSError) as error:
        print(f"packages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
