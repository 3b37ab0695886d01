"""The list files of an operator: one indicator a line, below an optional header, as text that people and tools edit.

    # feed: our-pools
    # date: 2026-11-20
    # confidence: medium
    pool.example.com:3333
    198.51.100.7:3333  # resolved pool.example.com 2026-11-20

The header is the comment lines `# key: value` before the first indicator; a comment of another form is only a comment.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional

from tables.indicators.networks import Network, parse_address, parse_network

CONFIDENCES = ("high", "medium", "low")
POOLS, SHARED = "pools", "shared"
KINDS = (POOLS, SHARED)
# A malformed line: its number, and what is wrong with it. A reader that shall stop there raises.
Malformed = Callable[[int, str], None]

_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HEADER = re.compile(r"#\s*([a-z]{1,20}):\s*(.*)")
_RESOLVED = re.compile(r"\s*resolved (\S+) ([0-9]{4}-[0-9]{2}-[0-9]{2})\s*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ListHeader(NamedTuple):
    """What a list says of itself. Dates are ISO days.

    `date` is the day of the data, `imported` the day on which it was last taken from `source`. A list of the kind `shared`
    names address ranges that a CDN or a cloud shares between its customers, which speak against a match.
    """

    feed: Optional[str] = None
    kind: str = POOLS
    version: Optional[str] = None
    date: Optional[str] = None
    imported: Optional[str] = None
    source: Optional[str] = None
    licence: Optional[str] = None
    confidence: Optional[str] = None
    pool: Optional[str] = None
    coin: Optional[str] = None


class Indicator(NamedTuple):
    """One line of a list: exactly one of `network` (an address being a full-length network) and `domain` is set."""

    network: Optional[Network]
    port: Optional[int]
    domain: Optional[str]

    @property
    def type_name(self) -> str:
        """Which of the types `domain`, `cidr`, `ip` and `ip_port` it is."""
        if self.network is None:
            return "domain"
        if not self.network.is_address:
            return "cidr"
        return "ip" if self.port is None else "ip_port"

    def __str__(self) -> str:
        text = self.domain or str(self.network)
        if self.port is None:
            return text
        return f"[{text}]:{self.port}" if ":" in text else f"{text}:{self.port}"


class Resolved(NamedTuple):
    """The name that an address was the answer for, and the ISO day of that answer."""

    name: str
    date: str


class ListEntry(NamedTuple):
    """One indicator with the line it stands on."""

    line: int
    indicator: Indicator
    resolved: Optional[Resolved]


class PoolList(NamedTuple):
    """A list in force; `path` is None for one that is built in, `counts` says how many indicators of each type it has."""

    header: ListHeader
    path: Optional[str]
    counts: dict[str, int]
    sha256: str

    def age_days(self, today: datetime.date) -> Optional[int]:
        """Days since what the list says was known to be so; None when it has no date.

        Pools come and go, so theirs is the date of the data. Ranges that did not change are as good as new when they were
        last fetched.
        """
        days = [self.header.date, self.header.imported if self.header.kind == SHARED else None]
        known = [day for day in map(parse_date, filter(None, days)) if day]
        return (today - max(known)).days if known else None


def parse_indicator(text: str) -> Indicator:
    """Read `domain[:port]`, `IP`, `CIDR`, `IPv4:port` or `[IPv6]:port`; ValueError, saying why, when it is none of these."""
    if "/" in text:
        return Indicator(parse_network(text), None, None)
    address, port = text, None
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in address or (rest and not rest.startswith(":")):
            raise ValueError("no [IPv6]:port")
        port = _port(rest[1:]) if rest else None
    elif text.count(":") == 1:
        address, _, number = text.partition(":")
        port = _port(number)
    if ":" not in address and not address[-1:].isdigit():
        domain = address.lower().rstrip(".").removeprefix("*.")
        if len(domain) > 253 or not _DOMAIN.fullmatch(domain):
            raise ValueError("no domain, IP address, CIDR, domain:port or ip:port")
        return Indicator(None, port, domain)
    packed = parse_address(address)
    return Indicator(Network(packed, len(packed) * 8), port, None)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("no port number")
    return int(text)


def ignore(number: int, problem: str) -> None:
    """A `Malformed` for readers who leave it to others to complain."""


def split_lines(text: str) -> list[str]:
    """The lines of a list, for the two functions below; a byte order mark is no part of the first."""
    return text.removeprefix("\ufeff").split("\n")


def parse_header(lines: Sequence[str], malformed: Malformed) -> ListHeader:
    """The header of a list; a value that is no such value is told to `malformed` and left out."""
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            break
        found = _HEADER.fullmatch(stripped)
        if found is None or found[1] not in ListHeader._fields:
            continue
        key, value = found[1], found[2].strip()
        problem = f"the key {key!r} appears twice" if key in values else _value_problem(key, value)
        if problem:
            malformed(number, problem)
        else:
            values[key] = value
    return ListHeader(**values)


def _value_problem(key: str, value: str) -> Optional[str]:
    if not value:
        return f"{key} has no value"
    if key in ("date", "imported") and parse_date(value) is None:
        return f"{key} must be a day, YYYY-MM-DD: {value[:80]!r}"
    allowed = {"confidence": CONFIDENCES, "kind": KINDS}.get(key)
    if allowed and value not in allowed:
        return f"{key} must be one of {', '.join(allowed)}: {value[:80]!r}"
    return None


def parse_date(text: str) -> Optional[datetime.date]:
    """The day that `YYYY-MM-DD` names; None for anything else."""
    try:
        return datetime.date(*map(int, text.split("-"))) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def parse_entries(lines: Sequence[str], kind: str, malformed: Malformed) -> Iterator[ListEntry]:
    """The indicators of a list of this kind; a line that is none is told to `malformed` and left out."""
    for number, line in enumerate(lines, 1):
        text, _, comment = line.partition("#")
        entry = text.strip()
        if not entry:
            continue
        try:
            indicator = parse_indicator(entry)
            if kind == SHARED and (indicator.network is None or indicator.port is not None):
                raise ValueError("no IP address or CIDR, and a list of shared ranges holds nothing else")
        except ValueError as error:
            malformed(number, f"{error}: {entry[:80]!r}")
            continue
        found = _RESOLVED.fullmatch(comment) if comment else None
        resolved = Resolved(found[1], found[2]) if found and parse_date(found[2]) else None
        yield ListEntry(number, indicator, resolved)
