"""The formats that feeds come in: each module reads one family into entries as they stand there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from tables.indicators.pool_lists import POOLS


class FormatError(ValueError):
    """The text as a whole is not of the format; the message says why."""


class Raw(NamedTuple):
    """One entry as the feed has it, with the place where it stands (`line 3`, `attribute 7`).

    Where `refused` is set, the feed itself says why the entry is not to be used.
    """

    place: str
    text: str
    refused: Optional[str] = None


@dataclass
class Feed:
    """What a feed holds, and what it says of itself; `date` is an ISO day."""

    entries: list[Raw] = field(default_factory=list)
    kind: str = POOLS
    title: Optional[str] = None
    version: Optional[str] = None
    date: Optional[str] = None


def load_json(text: str) -> Any:
    """The JSON document `text`; FormatError when it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError(f"not valid JSON: line {error.lineno}: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise FormatError(f"not valid JSON: {error}") from None


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of `text` with their numbers, stripped."""
    for number, line in enumerate(text.split("\n"), 1):
        yield number, line.strip()


def read_feed(text: str, form: str = "auto") -> Feed:
    """The feed `text` in the format `form`; FormatError when it is not of that format, or for `auto` of none."""
    from extension.intel.formats import misp, stix, table, text_lists

    text = text.removeprefix("\ufeff")
    readers: Mapping[str, Callable[[str], Feed]] = {
        "text": text_lists.read_plain,
        "hosts": text_lists.read_hosts,
        "maltrail": text_lists.read_maltrail,
        "csv": table.read,
        "misp": misp.read,
        "stix": stix.read,
    }
    head = text[:4096].lstrip().lower()
    if head.startswith("<"):
        raise FormatError("a web page or XML, not a list")
    return readers[detect(text) if form == "auto" else form](text)


def detect(text: str) -> str:
    """The name of the format that `text` seems to be in."""
    from extension.intel.formats import misp, stix, table, text_lists

    head = text[:1].strip() or text[:4096].lstrip()[:1]
    if head == "{" or (head == "[" and not text_lists.looks_like_address(text)):
        document = load_json(text)
        if stix.is_stix(document):
            return "stix"
        if misp.is_misp(document):
            return "misp"
        raise FormatError("JSON, but no MISP event, MISP warning list or STIX 2.1 bundle")
    if text_lists.is_maltrail(text):
        return "maltrail"
    if text_lists.is_hosts(text):
        return "hosts"
    return "csv" if table.is_table(text) else "text"


FORMATS = ("auto", "text", "hosts", "csv", "misp", "stix", "maltrail")
