"""osquery's sudoers table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader, split
from tables.host import Host
from tables.schema import QueryContext

_BLANK = "\t\v "
# sudoers(5): no more than 128 files may be nested.
_MAX_NEST = 128
_INCLUDES = ("#include", "@include")
_INCLUDE_DIRS = ("#includedir", "@includedir")


class Rule(NamedTuple):
    """One rule: its first word and the rest, continuation lines joined."""

    header: str
    details: str


def parse_sudoers(text: str) -> Iterator[Rule]:
    r"""Yield the rules of a sudoers file, comments left out, lines that end in `\` joined as osquery joins them."""
    header = details = ""
    is_long = False
    for line in (line.strip(_BLANK) for line in split(text, "\n")):
        if not line:
            continue
        if is_long:
            is_long = line.endswith("\\")
            if details:
                details = details[:-1] + line
            else:
                header, details = header[:-1], line
            if not is_long:
                yield Rule(header, details)
            continue
        cut = next((position for position, char in enumerate(line) if char in _BLANK), len(line))
        header, details = line[:cut], line[cut:].strip(_BLANK)
        is_include = header in _INCLUDES or header in _INCLUDE_DIRS
        if (line.startswith("#") and not is_include) or (is_include and not details):
            continue
        is_long = not is_include and line.endswith("\\")
        if not is_long:
            yield Rule(header, details)
    if is_long:
        yield Rule(header, details)


def _rules(reader: Reader, path: str, open_files: tuple[str, ...]) -> Iterator[CoreRow]:
    """The rules of one file and of those it includes; `open_files` are the files that include it."""
    if len(open_files) >= _MAX_NEST or path in open_files:
        return
    for rule in parse_sudoers(reader.text(path)):
        yield {"header": rule.header, "source": path, "rule_details": rule.details}
        target = os.path.join(os.path.dirname(path), rule.details)
        if rule.header in _INCLUDES:
            yield from _rules(reader, target, (*open_files, path))
        elif rule.header in _INCLUDE_DIRS:
            for included in reader.listing(target):
                name = os.path.basename(included)
                # sudoers(5): names with a dot or a closing tilde are passed over.
                if "." not in name and not name.endswith("~"):
                    yield from _rules(reader, included, (*open_files, path))


@core_table("sudoers")
def sudoers(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The rules in /etc/sudoers and the files it includes, an include directive before what it includes."""
    return _rules(Reader(host, "sudoers", query), "/etc/sudoers", ())
