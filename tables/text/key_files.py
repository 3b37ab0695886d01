"""Key files: `[Group]` headers and `Key=value` lines, as desktop entries, D-Bus services and ALPM hooks have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Setting(NamedTuple):
    """One `Key=value` line; `line` counts from 1, `group` is "" before the first header."""

    line: int
    group: str
    key: str
    value: str


def parse_key_file(text: str) -> Iterator[Setting]:
    """Yield the settings of a key file (Desktop Entry Specification 1.5); comments and other lines are passed over."""
    group = ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            continue
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            yield Setting(number, group, key.strip(), value.strip())


def first_values(text: str, group: str) -> dict[str, Setting]:
    """The settings of one group by key; of a key that is there twice, the first."""
    found: dict[str, Setting] = {}
    for setting in parse_key_file(text):
        if setting.group == group:
            found.setdefault(setting.key, setting)
    return found
