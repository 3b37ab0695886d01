"""The lines of sudoers: rules and Defaults, as pure parsers (sudoers(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

INCLUDE = re.compile(r"[@#](include|includedir)[ \t]+(.+)")
_DEFAULTS = re.compile(r"Defaults(?:(?P<kind>[@:!>])[ \t]*(?P<scope>\S+)|(?=[ \t]|$))[ \t]*(?P<settings>.*)", re.DOTALL)
_UID = re.compile(r"#-?\d+(?=[\s,=:)]|$)")
_RUNAS = re.compile(r"\(([^()]*)\)[ \t]*")
_TAG = re.compile(r"([A-Z_]+)[ \t]*:(?!:)[ \t]*")
_OPTION = re.compile(
    r"(?:ROLE|TYPE|PRIVS|LIMITPRIVS|NOTBEFORE|NOTAFTER|CWD|CHROOT|TIMEOUT|APPARMOR_PROFILE)[ \t]*=[ \t]*\S+[ \t]*"
)
_DIGEST = re.compile(r"sha(?:224|256|384|512)[ \t]*:[ \t]*\S+[ \t]*")
UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Permission(NamedTuple):
    """One command of a rule, or an alias or ALL, as written; `runas` is "" for root."""

    command: str
    runas: str
    is_nopasswd: bool


class Rule(NamedTuple):
    """One user specification: who may run what; `text` is the whole of it, continuation lines joined."""

    path: str
    line: int
    text: str
    users: tuple[str, ...]
    permissions: tuple[Permission, ...]


class Defaults(NamedTuple):
    """One Defaults entry; `kind` is the letter before its scope (`:` users, `@` hosts, `!` commands, `>` runas) or ""."""

    path: str
    line: int
    text: str
    kind: str
    scope: tuple[str, ...]
    settings: tuple[str, ...]


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    r"""(line, text) of each entry: lines that end in `\` joined with the next, comments and blank lines left out."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not parts:
            first = number
        line = line.rstrip("\r")
        if line.endswith("\\") and not line.endswith("\\\\"):
            parts.append(line[:-1])
            continue
        entry = _without_comment("".join([*parts, line])).strip()
        parts = []
        if entry:
            yield first, entry
    if parts and (entry := _without_comment("".join(parts)).strip()):
        yield first, entry


def _without_comment(line: str) -> str:
    """`line` up to its comment; `#include` and user ids (`#1000`) are none."""
    if INCLUDE.match(line.lstrip()):
        return line
    quoted = False
    position = 0
    while position < len(line):
        letter = line[position]
        if letter == "\\":
            position += 1
        elif letter == '"':
            quoted = not quoted
        elif letter == "#" and not quoted and not _UID.match(line, position):
            return line[:position]
        position += 1
    return line


def split_list(text: str, separator: str, limit: int = -1) -> list[str]:
    """The parts of `text` between separators that are not quoted, escaped or in parentheses; blanks around them removed."""
    parts: list[str] = []
    start = position = depth = 0
    quoted = False
    while position < len(text) and (limit < 0 or len(parts) < limit):
        letter = text[position]
        if letter == "\\":
            position += 1
        elif letter == '"':
            quoted = not quoted
        elif quoted:
            pass
        elif letter in "()":
            depth = max(0, depth + (1 if letter == "(" else -1))
        elif letter == separator and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
        position += 1
    parts.append(text[start:].strip())
    return parts


def parse_rule(path: str, line: int, text: str) -> Optional[Rule]:
    """The user specification in one entry; None when it is none."""
    who, *rest = split_list(text, "=", 1)
    if not rest or not rest[0]:
        return None
    users, hosts = _users_and_hosts(who)
    if not users or not hosts:
        return None
    return Rule(path, line, text, users, tuple(_permissions(rest[0])))


def _users_and_hosts(who: str) -> tuple[tuple[str, ...], str]:
    """The user list before a host list: both are lists with commas, so that a blank after no comma parts them."""
    items = split_list(who, ",")
    for index, item in enumerate(items):
        parted = re.match(r'((?:!\s*)*(?:"[^"]*"|(?:[^\s"\\]|\\.)+))\s+(\S.*)', item, re.DOTALL)
        if parted:
            return tuple(plain(name) for name in [*items[:index], parted[1]] if name), ",".join([parted[2], *items[index + 1 :]])
    return (), ""


def plain(item: str) -> str:
    """An item without quotes, escapes and blanks after `!`."""
    negations = re.match(r"(?:!\s*)*", item)
    marks = negations[0] if negations else ""
    return "!" * marks.count("!") + UNESCAPE.sub(r"\1", item[len(marks) :].replace('"', ""))


def _permissions(text: str) -> Iterator[Permission]:
    """The commands after a host list's `=`; runas and tags hold for those that follow (sudoers(5), "Tag_Spec")."""
    runas, is_nopasswd = "", False
    in_hosts = False
    pending = split_list(text, ",")[::-1]
    while pending:
        item = pending.pop()
        if in_hosts:
            _, *commands = split_list(item, "=", 1)
            in_hosts = not commands
            pending += commands
            continue
        position = 0
        while True:
            skipped = _OPTION.match(item, position) or _DIGEST.match(item, position)
            if skipped:
                position = skipped.end()
                continue
            found = _RUNAS.match(item, position)
            if found:
                runas, position = found[1].strip(), found.end()
                continue
            found = _TAG.match(item, position)
            if found is None:
                break
            if found[1] in ("NOPASSWD", "PASSWD"):
                is_nopasswd = found[1] == "NOPASSWD"
            position = found.end()
        # `:` begins another host list, whose commands start afresh.
        command, *rest = split_list(item[position:], ":", 1)
        if command:
            yield Permission(command, runas, is_nopasswd)
        if rest:
            runas, is_nopasswd, in_hosts = "", False, True
            pending += rest


def parse_defaults(path: str, line: int, text: str) -> Optional[Defaults]:
    """The Defaults entry in one entry; None when it is none."""
    found = _DEFAULTS.match(text)
    if found is None:
        return None
    scope = tuple(plain(item) for item in split_list(found["scope"] or "", ",") if item)
    return Defaults(path, line, text, found["kind"] or "", scope, tuple(split_list(found["settings"], ",")))
