"""MISP: the attributes of events (misp-standard.org, core format), and warning lists of address ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extension.intel.formats import Feed, FormatError, Raw, load_json
from tables.indicators.pool_lists import SHARED, parse_date

_TYPES = frozenset({"domain", "hostname", "ip-dst", "ip-src", "url", "uri"})
_PAIRS = frozenset({"ip-dst|port", "ip-src|port", "hostname|port"})
_BOTH = frozenset({"domain|ip"})


def is_misp(document: Any) -> bool:
    """Whether the JSON document is an event, a search's answer, or a warning list."""
    if isinstance(document, list):
        return any(isinstance(item, dict) and "Event" in item for item in document)
    return isinstance(document, dict) and ("Event" in document or "response" in document or {"list", "type"} <= document.keys())


def read(text: str) -> Feed:
    """An event's attributes that are network indicators, or the ranges of a warning list."""
    document = load_json(text)
    if not is_misp(document):
        raise FormatError("no MISP event and no MISP warning list")
    if isinstance(document, dict) and {"list", "type"} <= document.keys():
        return _warning_list(document)
    feed = Feed()
    for event in _events(document):
        feed.title = feed.title or _text(event.get("info"))
        day = _text(event.get("date"))
        if parse_date(day) and day > (feed.date or ""):
            feed.date = day
        for number, attribute in enumerate(_attributes(event), 1):
            feed.entries += _entries(f"attribute {number}", attribute)
    return feed


def _warning_list(document: dict[str, Any]) -> Feed:
    if document["type"] != "cidr":
        raise FormatError(f"a warning list of the type {_text(document['type'])[:40]!r}; only address ranges (cidr) are of use")
    if not isinstance(document["list"], list):
        raise FormatError("a warning list without a list")
    version = _text(document.get("version"))
    day = f"{version[:4]}-{version[4:6]}-{version[6:8]}"
    return Feed(
        [Raw(f"list entry {number}", _text(value)) for number, value in enumerate(document["list"], 1)],
        SHARED,
        _text(document.get("name")) or None,
        version or None,
        day if parse_date(day) else None,
    )


def _events(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict) and "response" in document:
        document = document["response"]
    for item in document if isinstance(document, list) else [document]:
        event = item.get("Event", item) if isinstance(item, dict) else None
        if isinstance(event, dict):
            yield event


def _attributes(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for holder in (event, *_list(event.get("Object"))):
        if isinstance(holder, dict):
            yield from (attribute for attribute in _list(holder.get("Attribute")) if isinstance(attribute, dict))


def _entries(place: str, attribute: dict[str, Any]) -> Iterator[Raw]:
    kind, value = _text(attribute.get("type")), _text(attribute.get("value"))
    if kind not in _TYPES | _PAIRS | _BOTH or attribute.get("deleted") is True:
        return
    refused = "not meant for detection (to_ids is off)" if attribute.get("to_ids") is False else None
    if kind in _PAIRS:
        host, _, port = value.rpartition("|")
        yield Raw(place, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", refused)
    else:
        for part in value.split("|") if kind in _BOTH else [value]:
            yield Raw(place, part, refused)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
