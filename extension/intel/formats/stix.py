"""STIX 2.1 bundles: the domains, addresses and URLs that indicators' patterns compare for equality."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, Optional

from extension.intel.formats import Feed, FormatError, Raw, load_json
from tables.indicators.pool_lists import parse_date

# Most patterns are one comparison; the grammar's parser takes milliseconds for each, this none.
_SIMPLE = re.compile(r"\s*\[\s*(domain-name|ipv4-addr|ipv6-addr|url):value\s*=\s*'([^'\\]*)'\s*\]\s*")
_LITERAL = re.compile(r"'((?:[^'\\]|\\.)*)'")
_VALUES = frozenset({"domain-name", "ipv4-addr", "ipv6-addr", "url"})
_MAX_PATTERN = 65536
_MAX_COMBINATIONS = 1000


def is_stix(document: Any) -> bool:
    """Whether the JSON document is a STIX bundle."""
    return isinstance(document, dict) and document.get("type") == "bundle"


def read(text: str) -> Feed:
    """What the bundle's valid indicators with a STIX pattern name; an address beside a `dst_port` becomes ip:port."""
    document = load_json(text)
    if not is_stix(document) or not isinstance(document.get("objects"), list):
        raise FormatError("no STIX bundle with objects")
    feed = Feed()
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    for number, item in enumerate(document["objects"], 1):
        if not isinstance(item, dict) or item.get("type") != "indicator":
            continue
        if item.get("pattern_type", "stix") != "stix" or not isinstance(item.get("pattern"), str):
            continue
        modified = str(item.get("modified", ""))[:10]
        if parse_date(modified) and modified > (feed.date or ""):
            feed.date = modified
        refused = _refusal(item, now)
        feed.entries += [Raw(f"object {number}", value, refused) for value in _indicators(item["pattern"])]
    return feed


def _refusal(item: dict[str, Any], now: str) -> Optional[str]:
    if item.get("revoked") is True:
        return "revoked"
    until = item.get("valid_until")
    if isinstance(until, str) and until[:19] < now[:19]:
        return f"valid until {until[:10]} only"
    return None


def _indicators(pattern: str) -> Iterator[str]:
    """The entries that a pattern names; one that cannot be parsed is an entry itself, to be named as junk."""
    simple = _SIMPLE.fullmatch(pattern)
    if simple:
        yield simple[2]
        return
    try:
        comparisons = _comparisons(pattern)
    except FormatError:
        yield pattern
        return
    names = [value for key in ("url", "domain-name") for path, value in comparisons.get(key, ()) if path == "value"]
    hosts = [value for key in ("ipv4-addr", "ipv6-addr") for path, value in comparisons.get(key, ()) if path == "value"]
    ports = []
    for path, value in comparisons.get("network-traffic", ()):
        if path == "dst_port":
            ports.append(value)
        elif path == "dst_ref.value":
            hosts.append(value)
    yield from names
    if not ports:
        yield from hosts
    elif len(hosts) * len(ports) <= _MAX_COMBINATIONS:
        for host, port in product(hosts, ports):
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    else:
        yield pattern


def _comparisons(pattern: str) -> dict[str, list[tuple[str, str]]]:
    """By object type the property paths and values compared for equality; FormatError when the pattern cannot be parsed."""
    from stix2patterns.exceptions import ParseException  # type: ignore[import-untyped]
    from stix2patterns.v21.pattern import Pattern  # type: ignore[import-untyped]

    if len(pattern) > _MAX_PATTERN:
        raise FormatError("the pattern is too long")
    try:
        found = Pattern(pattern).inspect().comparisons
    except (ParseException, RecursionError) as error:
        raise FormatError(str(error)) from None
    return {
        kind: [
            (".".join(map(str, path)), value)
            for path, operator, text in listed
            if operator in ("=", "IN")
            for value in _literals(text)
        ]
        for kind, listed in found.items()
        if kind in _VALUES or kind == "network-traffic"
    }


def _literals(text: str) -> list[str]:
    """The strings or the number in the right side of a comparison."""
    strings = [re.sub(r"\\(.)", r"\1", found) for found in _LITERAL.findall(text)]
    return strings or re.findall(r"[0-9]+", text)
