"""CSV and its kin: which columns hold the indicators is told by the header row, else by what is in them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Optional

from extension.intel.formats import Feed, FormatError, Raw
from extension.intel.normalise import RefusedError, normalise

_DELIMITERS = ",;\t|"
_PORTS = frozenset({"dst_port", "dstport", "port", "dest_port", "destination_port"})
# In the order in which they are taken: one that says what it holds before one that may hold anything.
_COLUMNS = (
    "ioc_value", "ioc", "indicator", "value", "url", "domain", "domain_name", "fqdn", "hostname", "host", "pool",
    "ip", "ip_address", "ipv4", "ipv6", "address", "dst_ip", "dstip", "dest_ip", "destination_ip",
)  # fmt: skip
_ADDRESSES = frozenset(_COLUMNS[_COLUMNS.index("ip") :]) | {"host", "domain", "hostname", "pool"}
_SAMPLE = 50

_Row = tuple[int, list[str]]


def read(text: str) -> Feed:
    """The entries of every column that holds indicators; an address and the port beside it are one entry."""
    delimiter = _delimiter(text)
    header = _header(text, delimiter)
    rows = list(_rows(text, delimiter))
    if header is None:
        columns, port = [_likely_column(rows)], None
    else:
        names = [name.strip().strip('"').lower().replace(" ", "_") for name in header]
        columns = [names.index(name) for name in _COLUMNS if name in names]
        port = next((index for index, name in enumerate(names) if name in _PORTS), None)
        rows = [row for row in rows if [cell.strip().lower() for cell in row[1]] != [cell.strip().lower() for cell in header]]
    feed = Feed()
    for number, cells in rows:
        for column in columns:
            value = cells[column].strip() if column < len(cells) else ""
            if not value:
                continue
            number_text = cells[port].strip() if port is not None and port < len(cells) else ""
            if number_text and header is not None and names[column] in _ADDRESSES and not _has_port(value):
                value = f"[{value}]:{number_text}" if ":" in value else f"{value}:{number_text}"
            feed.entries.append(Raw(f"line {number}", value))
    return feed


def is_table(text: str) -> bool:
    """Whether the text has a header row that names a column of indicators."""
    return any(_header(text, delimiter) is not None for delimiter in _DELIMITERS)


def _has_port(value: str) -> bool:
    return value.count(":") == 1 or "]:" in value


def _delimiter(text: str) -> str:
    for delimiter in _DELIMITERS:
        if _header(text, delimiter) is not None:
            return delimiter
    sample = text[:4096]
    return max(_DELIMITERS, key=sample.count)


def _header(text: str, delimiter: str) -> Optional[list[str]]:
    """The header row, which feeds like to hide in the last comment before the data."""
    for line in text[:65536].split("\n"):
        cells = next(_parse([line.strip().lstrip("# ")], delimiter), [])
        if len(cells) > 1 and any(cell.strip().strip('"').lower().replace(" ", "_") in _COLUMNS for cell in cells):
            return cells
        if line.strip() and not line.lstrip().startswith("#"):
            return None
    return None


def _rows(text: str, delimiter: str) -> Iterator[_Row]:
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip("\r")
        if not stripped.strip() or stripped.lstrip().startswith("#"):
            continue
        for cells in _parse([stripped], delimiter):
            yield number, cells


def _parse(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    except csv.Error:
        # A field beyond the module's limit, or a stray NUL: one cell, which will be named as junk.
        yield lines


def _likely_column(rows: list[_Row]) -> int:
    counts: dict[int, int] = {}
    for _, cells in rows[:_SAMPLE]:
        for index, cell in enumerate(cells):
            try:
                normalise(cell)
            except (ValueError, RefusedError):
                continue
            counts[index] = counts.get(index, 0) + 1
    if not counts:
        raise FormatError("no column holds domains or addresses")
    return max(counts, key=lambda index: (counts[index], -index))
