"""Rules of doas, which does what sudo does (doas.conf(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tables.text.lines import logical_lines

CONFIGS = ("/etc/doas.conf", "/usr/local/etc/doas.conf")
CONFIG_FOLDER = "/etc/doas.d"


class DoasRule(NamedTuple):
    """A `permit` rule: whom it means (a name, `:group`), whether without a password, and the command, "" for any."""

    line: int
    who: str
    is_nopass: bool
    target: str
    command: str
    text: str


def parse_doas(text: str) -> Iterator[DoasRule]:
    """Yield the rules that permit something."""
    for number, line in logical_lines(text, joint=" "):
        words = line.partition("#")[0].replace("{", " { ").replace("}", " } ").split()
        if not words or words[0] != "permit":
            continue
        options: list[str] = []
        rest = words[1:]
        # setenv takes a list in braces.
        while rest and rest[0] in ("nopass", "persist", "keepenv", "nolog", "setenv"):
            options.append(rest.pop(0))
            if rest[:1] == ["{"]:
                end = rest.index("}") if "}" in rest else len(rest)
                del rest[: end + 1]
        if not rest:
            continue
        named = dict(zip(rest[1::2], rest[2::2]))
        yield DoasRule(number, rest[0], "nopass" in options, named.get("as", "root"), named.get("cmd", ""), " ".join(words))
