"""What sudo permits: sudoers and all that it includes, its aliases, rules and Defaults (sudoers(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import NamedTuple

from tables.host.accounts.sudoers_syntax import (
    INCLUDE,
    UNESCAPE,
    Defaults,
    Permission,
    Rule,
    logical_lines,
    parse_defaults,
    parse_rule,
    plain,
    split_list,
)
from tables.host.disk.files import Files, Unreadable
from tables.unseen import Unseen

# SUSE's vendor file counts while there is none in /etc; sudo-rs reads its own file where there is one.
_CONFIGS = (("/etc/sudoers", "/usr/etc/sudoers"), ("/etc/sudoers-rs",))
_FILE_LIMIT = 1 << 20
_MAX_FILES = 256
_MAX_ENTRIES = 20_000
_MAX_ENTRY = 32 * 1024
# The limits of sudo's own parser and, for aliases, enough for any that are not a cycle.
_MAX_DEPTH = 128
_MAX_EXPANDED = 10_000

_ALIAS = re.compile(r"(User|Runas|Host|Cmnd|Cmd)_Alias[ \t]+(.*)", re.DOTALL)


class Sudoers(NamedTuple):
    """All entries in order; `files` are those read (none: sudo is not set up), `unseen` what could not be read."""

    files: tuple[str, ...]
    rules: tuple[Rule, ...]
    defaults: tuple[Defaults, ...]
    aliases: dict[tuple[str, str], tuple[str, ...]]
    unseen: Unseen

    def expand(self, kind: str, items: Iterable[str]) -> tuple[str, ...]:
        """The items with every alias of this kind (User, Runas, Host, Cmnd) replaced by its members, `!` carried over."""
        found: list[str] = []
        pending = [(item, frozenset[str]()) for item in items][::-1]
        # Aliases within aliases grow without bound, even those that come to nothing.
        for _ in range(_MAX_EXPANDED):
            if not pending:
                break
            item, inside = pending.pop()
            name = item.lstrip("! \t")
            members = self.aliases.get((kind, name))
            if members is None or name in inside:
                found.append(item)
                continue
            if len(pending) + len(members) > _MAX_EXPANDED:
                break
            within = inside | {name}
            pending += [(_negated(member) if _is_negated(item) else member, within) for member in reversed(members)]
        return tuple(found)

    def names(self, users: Iterable[str], name: str, uid: int, groups: Iterable[tuple[str, int]]) -> bool:
        """Whether a list of users means this account (netgroups are not looked up)."""
        return means(self.expand("User", users), spellings(name, uid, groups))

    def commands(self, rule: Rule) -> tuple[Permission, ...]:
        """What a rule permits, Cmnd aliases replaced; what it forbids (`!`) is left out."""
        return tuple(
            permission._replace(command=command)
            for permission in rule.permissions
            for command in self.expand("Cmnd", [permission.command])
            if not command.startswith("!")
        )


def spellings(name: str, uid: int, groups: Iterable[tuple[str, int]]) -> frozenset[str]:
    """How a list of users can name an account with these groups (name, id)."""
    found = {"ALL", name, f"#{uid}"}
    for group, gid in groups:
        found |= {f"%{group}", f"%#{gid}"}
    return frozenset(found)


def means(items: Iterable[str], account: frozenset[str]) -> bool:
    """Whether a list of users without aliases means the account with these `spellings`; the last item that fits decides."""
    found = False
    for item in items:
        if item.lstrip("!") in account:
            found = not _is_negated(item)
    return found


def _is_negated(item: str) -> bool:
    return item[: len(item) - len(item.lstrip("! \t"))].count("!") % 2 == 1


def _negated(item: str) -> str:
    return item[1:] if item.startswith("!") else f"!{item}"


def read_sudoers(files: Files) -> Sudoers:
    """Everything that sudo reads on this host; Unreadable when the main file is there but cannot be read.

    Rules kept in LDAP or sssd are not seen.
    """
    reader = _Reader(files)
    for candidates in _CONFIGS:
        path = next((path for path in candidates if files.exists(path)), None)
        if path is not None:
            reader.read(path, 0)
    return Sudoers(tuple(reader.files), tuple(reader.rules), tuple(reader.defaults), reader.aliases, reader.unseen)


class _Reader:
    """Reads sudoers and what it includes."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._entries = 0
        self.files: list[str] = []
        self.rules: list[Rule] = []
        self.defaults: list[Defaults] = []
        self.aliases: dict[tuple[str, str], tuple[str, ...]] = {}
        self.unseen = Unseen()

    def read(self, path: str, depth: int) -> None:
        """Read one file and, in their places, those that it includes."""
        data = self._files.read(path, _FILE_LIMIT + 1)
        if len(data) > _FILE_LIMIT:
            self.unseen.truncate(f"{path}: only the first {_FILE_LIMIT} bytes were read")
        self.files.append(path)
        for line, text in logical_lines(data[:_FILE_LIMIT].decode("utf-8", "surrogateescape")):
            self._entries += 1
            if self._entries > _MAX_ENTRIES:
                self.unseen.truncate(f"{path}:{line}: what follows was not read, after {_MAX_ENTRIES} entries")
                return
            if len(text) > _MAX_ENTRY:
                self.unseen.truncate(f"{path}:{line}: longer than {_MAX_ENTRY} letters, not read")
                continue
            include = INCLUDE.match(text)
            if include:
                self._include(f"{path}:{line}", include[1], posixpath.join(posixpath.dirname(path), _path(include[2])), depth)
            else:
                self._entry(path, line, text)

    def _entry(self, path: str, line: int, text: str) -> None:
        alias = _ALIAS.match(text)
        if alias:
            kind = {"Cmd": "Cmnd"}.get(alias[1], alias[1])
            for definition in split_list(alias[2], ":"):
                name, *members = split_list(definition, "=", 1)
                if members:
                    items = split_list(members[0], ",")
                    self.aliases[kind, name] = tuple(item if kind == "Cmnd" else plain(item) for item in items if item)
        elif defaults := parse_defaults(path, line, text):
            self.defaults.append(defaults)
        elif rule := parse_rule(path, line, text):
            self.rules.append(rule)
        else:
            self.unseen.could_not_see(f"{path}:{line}: not understood")

    def _include(self, place: str, what: str, path: str, depth: int) -> None:
        if depth >= _MAX_DEPTH or len(self.files) >= _MAX_FILES:
            self.unseen.truncate(f"{place}: not included, after {len(self.files)} files")
            return
        try:
            # sudo passes over names with a dot or a ~ at their end: package managers' leavings.
            paths = [path]
            if what == "includedir":
                paths = [f"{path}/{name}" for name in self._files.names(path) if "." not in name and not name.endswith("~")]
            for found in paths:
                if len(self.files) < _MAX_FILES:
                    self.read(found, depth + 1)
        except Unreadable as error:
            self.unseen.could_not_see(str(error))


def _path(text: str) -> str:
    return UNESCAPE.sub(r"\1", text.strip().strip('"')).rstrip("/") or "/"
