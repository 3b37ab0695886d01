"""Lists of one entry a line: plain ones, hosts files, and Maltrail's trails."""

from __future__ import annotations

import re

from extension.intel.formats import Feed, FormatError, Raw, numbered_lines
from tables.indicators.networks import parse_address
from tables.indicators.pool_lists import ignore, parse_header, split_lines

# What every hosts file begins with, and no feed means.
_LOCAL_NAMES = re.compile(r"localhost|localhost\.localdomain|local|broadcasthost|ip6-\S+|0\.0\.0\.0")
_COMMENT = re.compile(r"(?:^|\s)[#;].*")
_SAMPLE = 400


def read_plain(text: str) -> Feed:
    """One domain, address, range, URL or host:port a line; `#` and `;` start comments. Our own lists' headers are read too."""
    header = parse_header(split_lines(text), ignore)
    feed = Feed(kind=header.kind, title=header.feed, version=header.version, date=header.date)
    for number, line in numbered_lines(text):
        entry = _COMMENT.sub("", line).strip()
        if entry:
            feed.entries.append(Raw(f"line {number}", entry))
    return feed


def read_hosts(text: str) -> Feed:
    """A hosts file, `ADDRESS NAME…` a line: the names."""
    feed = Feed()
    for number, line in numbered_lines(text):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        names = _host_names(entry) or [entry]
        feed.entries += [Raw(f"line {number}", name) for name in names if not _LOCAL_NAMES.fullmatch(name)]
    return feed


def read_maltrail(text: str) -> Feed:
    """Maltrail's trails (github.com/stamparm/maltrail): domain, IP, IP:port or URL path a line, below `# Reference:` lines."""
    feed = Feed(title="Maltrail")
    for number, line in numbered_lines(text):
        entry = _COMMENT.sub("", line).strip()
        if entry.startswith("/"):
            feed.entries.append(Raw(f"line {number}", entry, "a path of a URL, on any host"))
        elif entry:
            feed.entries.append(Raw(f"line {number}", entry))
    if not feed.entries:
        raise FormatError("no entries")
    return feed


def is_maltrail(text: str) -> bool:
    """Whether the text has the comments of Maltrail's trails."""
    head = text[:8192]
    return "Maltrail developers" in head or re.search(r"^# Reference: ", head, re.MULTILINE) is not None


def is_hosts(text: str) -> bool:
    """Whether most of the first lines are `ADDRESS NAME`."""
    lines = [line for line in _sample(text) if line]
    return bool(lines) and sum(bool(_host_names(line)) for line in lines) * 2 > len(lines)


def looks_like_address(text: str) -> bool:
    """Whether the first entry is an IPv6 address in brackets, with which JSON does not begin."""
    return re.match(r"\s*\[[0-9a-fA-F:.]+\]", text[:200]) is not None


def _host_names(line: str) -> list[str]:
    """The names behind the address of a hosts file's line; [] when it is no such line."""
    address, *names = line.split() or [""]
    try:
        parse_address(address.partition("%")[0])
    except ValueError:
        return []
    return names


def _sample(text: str) -> list[str]:
    return [_COMMENT.sub("", line).strip() for line in text[:65536].split("\n")[:_SAMPLE]]
