"""osquery's apt_sources table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import SPACE, Reader, split
from tables.host import Host
from tables.schema import QueryContext

_LISTS = "/var/lib/apt/lists"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_RELEASE_FIELDS = {
    "Codename": "release",
    "Version": "version",
    "Origin": "maintainer",
    "Components": "components",
    "Architectures": "architectures",
}


class AptSource(NamedTuple):
    """One repository and suite; `cache` is how the names of its files in apt's list folder begin."""

    name: str
    base_uri: str
    cache: str


def _source(uri: str, suite: str) -> AptSource:
    name = uri.partition("://")[2]
    parts = split(suite, "/")
    if len(parts) == 1:
        parts = ["dists", suite]
    return AptSource(f"{name} {suite}", uri, "_".join([name, *parts]).replace("/", "_"))


def parse_source_line(line: str) -> Optional[AptSource]:
    """The repository of a `deb` line (sources.list(5)), None for any other line."""
    _, deb, rest = line.partition("#")[0].partition("deb ")
    words = split(rest, " ")
    if not deb or len(words) < 2:
        return None
    if words[0].startswith("["):
        closing = next((number for number, word in enumerate(words) if "]" in word), 0)
        words = words[closing + 1 :]
    uri = words[0].rstrip("/") if words else ""
    return _source(uri, words[1]) if len(words) > 1 and "://" in uri else None


def parse_deb822(block: str) -> list[AptSource]:
    """The repositories of one stanza of a .sources file; none when it is no `deb` source or has Enabled other than `on`.

    Reading `Enabled: yes` as off is osquery's reading.
    """
    uris: list[str] = []
    suites: list[str] = []
    for line in split(block, "\n"):
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.lower(), value.strip(SPACE)
        if not colon or not value:
            continue
        if (key == "types" and "deb" not in split(value, "\t ")) or (key == "enabled" and value != "on"):
            return []
        if key == "uris":
            stripped = (uri.rstrip("/") for uri in split(value, "\t "))
            uris += [uri for uri in stripped if "://" in uri]
        elif key == "suites":
            suites += split(value, "\t ")
    return [_source(uri, suite) for uri in uris for suite in suites]


def parse_release(text: str) -> dict[str, str]:
    """The columns that a Release file fills, up to its signature."""
    found = {}
    for line in split(text, "\n"):
        if line == _SIGNATURE:
            break
        fields = split(line, ":")
        if len(fields) == 2 and fields[0] in _RELEASE_FIELDS:
            found[_RELEASE_FIELDS[fields[0]]] = fields[1]
    return found


def _sources(reader: Reader) -> Iterator[tuple[str, AptSource]]:
    """Every configured repository, with the file that names it."""
    parts = list(reader.listing("/etc/apt/sources.list.d"))
    for path in ["/etc/apt/sources.list", *(path for path in parts if path.endswith(".list"))]:
        for line in split(reader.text(path), "\n"):
            source = parse_source_line(line)
            if source is not None:
                yield path, source
    for path in (path for path in parts if path.endswith(".sources")):
        for block in re.split("\n\n", reader.text(path)):
            for source in parse_deb822(block):
                yield path, source


@core_table("apt_sources")
def apt_sources(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The configured package repositories of which apt has fetched a Release file."""
    reader = Reader(host, "apt_sources", query)
    lists = list(reader.listing(_LISTS))
    for path, source in _sources(reader):
        prefix = f"{reader.canonical(_LISTS)}/{source.cache}_"
        release = next((found for found in lists if found.startswith(prefix) and found.endswith("Release")), None)
        if release is not None:
            yield {"name": source.name, "source": path, "base_uri": source.base_uri, **parse_release(reader.text(release))}
