"""osquery's deb_packages table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import SPACE, Reader
from tables.host import Host
from tables.schema import QueryContext

_ADMIN_FOLDER = "/var/lib/dpkg"
_NO_STATUS = "unknown ok not-installed"
_MAX_DIGITS = 18


def parse_stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the stanzas of a dpkg control file (deb-control(5)) as fields by lower-case name, their first lines only."""
    stanza: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip(SPACE):
            if stanza:
                yield stanza
            stanza = {}
        elif line[0] not in " \t":
            name, colon, value = line.partition(":")
            if colon:
                stanza[name.lower()] = value.strip(SPACE)
    if stanza:
        yield stanza


def package_row(stanza: dict[str, str]) -> Optional[CoreRow]:
    """The columns of one package, None when it is not installed and has no configuration files left.

    `version` lacks an epoch of 0 and `revision` is what follows its last hyphen, as libdpkg prints them.
    """
    name = stanza.get("package")
    status = " ".join(stanza.get("status", _NO_STATUS).split())
    if not name or status.endswith(" not-installed"):
        return None
    version = stanza.get("version", "")
    epoch, colon, rest = version.partition(":")
    if colon and not epoch.strip("0") and ":" not in rest:
        version = rest
    upstream, _, revision = rest.rpartition("-") if colon else version.rpartition("-")
    size = stanza.get("installed-size", "")
    return {
        "name": name, "version": version, "source": stanza.get("source", ""),
        "size": size if len(size) <= _MAX_DIGITS else None, "arch": stanza.get("architecture", ""),
        "revision": revision if upstream else "", "status": status, "maintainer": stanza.get("maintainer", ""),
        "section": stanza.get("section", ""), "priority": stanza.get("priority", "unknown"),
    }  # fmt: skip


@core_table("deb_packages", additional=["admindir"], optimized=["admindir"])
def deb_packages(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The packages in dpkg's status file, below /var/lib/dpkg or the folders asked for as admindir; size in KiB."""
    reader = Reader(host, "deb_packages", query)
    for folder in query.equals("admindir") or [_ADMIN_FOLDER]:
        for stanza in parse_stanzas(reader.text(f"{folder}/status")):
            row = package_row(stanza)
            if row is not None:
                yield {**row, "admindir": folder}
