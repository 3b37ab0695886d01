"""osquery's rpm_packages table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Union

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader
from tables.host import Host
from tables.host.packages import rpm_database
from tables.schema import QueryContext

# Tags of a header entry (rpm: include/rpm/rpmtag.h).
_TAGS = {
    1000: "name", 1001: "version", 1002: "release", 1044: "source", 1009: "size", 269: "sha1", 1022: "arch", 1003: "epoch",
    1008: "install_time", 1011: "vendor", 1016: "package_group",
}  # fmt: skip


def parse_header(blob: bytes) -> dict[str, Union[str, int]]:
    """The columns found in a package header as the rpm database stores it; what is broken is left out."""
    return {_TAGS[tag]: values[0] for tag, values in rpm_database.parse_header(blob, _TAGS).items()}


def _headers(reader: Reader, path: str) -> Iterator[bytes]:
    """The headers in rpm's database; what a running rpm has in its write-ahead log is not seen, and said to be."""
    if rpm_database.pending_log(reader.host.files, path):
        reader.missed(f"{path}-wal", "changes not yet in the database are not read")
    else:
        reader.found(f"{path}-wal")
    yield from rpm_database.headers(reader.host.files, path)


@core_table("rpm_packages", index=["name", "version", "release", "arch", "epoch"], optimized=["name"], budget_seconds=60.0)
def rpm_packages(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The packages in rpm's database; size in bytes, install_time in unix seconds. No rows on a host without rpm."""
    reader = Reader(host, "rpm_packages", query)
    path = rpm_database.find(host.files)
    if path is None:
        return
    os.close(host.files.open(path))
    for blob in _headers(reader, path):
        query.check_time()
        yield {**dict.fromkeys(_TAGS.values(), ""), **parse_header(blob)}
