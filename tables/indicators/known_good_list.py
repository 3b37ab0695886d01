"""The site's own list of what is normal: its categories, its format, and the entries in force.

A list is YAML, by default /etc/minehunt/known_good.yaml:

    known_good:
      scheduled_job:
        - pattern: '/etc/cron.d/backup: root /opt/backup/run.sh'
          note: nightly backup, ops
          expires: 2027-06-30

`pattern` is an SQL GLOB over the category's key text; `note` and `expires` (a day, UTC, the last one in force) are optional.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import Files
from tables.schema import clean_text

if TYPE_CHECKING:
    import yaml


class Category(NamedTuple):
    """One kind of thing that a site may declare normal: the text that its patterns are compared with, and the SOP's step."""

    key: str
    step: int
    # What every key begins with, and so says nothing about which one is meant.
    prefix: str = ""


CATEGORIES: Mapping[str, Category] = {
    "connection": Category("`remote_address:remote_port` of a connection", 3),
    "process": Category("path of a process's executable", 4),
    "preloaded_library": Category("path of a library that is loaded into every program", 5),
    "startup_command": Category("`path: command` of a file that starts programs at boot, login or on an event", 5),
    "kernel_module": Category("name of a kernel module", 11),
    "file": Category("path of a file", 12),
    "account": Category("user name of an account; to silence a detection, `user name: name of the query`", 13),
    "ssh_key": Category("fingerprint of an SSH key, `SHA256:…`", 14, "SHA256:"),
    "scheduled_job": Category("`path: command` of a cron, anacron, at or timer job", 15),
    "systemd_unit": Category("`path: command` of a systemd unit", 16),
    "service": Category("`service address:port` of a listening service", 17),
    "container": Category("image of a container as it was started with, or its name where it has none", 17),
}

_KEYS = ("pattern", "note", "expires")
_MAX_FILE = 8 << 20
# SQLite fails a whole query over a GLOB pattern of more than 50,000 bytes (SQLITE_MAX_LIKE_PATTERN_LENGTH).
MAX_PATTERN_BYTES = 16_000
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_SECONDS = 86400
# What is never closed ends with the pattern: looking for the end again from each beginning would take quadratic time.
_CLASS = re.compile(r"\[\^?\]?[^]]*(\]|$)")
# A class of one character is that character, written so that it is no wildcard.
_WILDCARDS = re.compile(r"\[([^^])\]|\[\^?\]?[^]]*(?:\]|$)|[*?]")


class Entry(NamedTuple):
    """One entry of a list; `expires` is the unix second from which on it counts no more."""

    category: str
    pattern: str
    note: Optional[str]
    expires: Optional[int]
    path: str
    line: int


def glob_escape(text: str) -> str:
    """The GLOB pattern that matches `text` and nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", text)


def pattern_problem(category: str, pattern: str) -> Optional[str]:
    """Why `pattern` cannot be an exception of `category`; None when it can."""
    if not pattern.strip():
        return "the pattern is empty"
    if len(pattern.encode()) > MAX_PATTERN_BYTES:
        return f"the pattern is longer than {MAX_PATTERN_BYTES} bytes"
    if any(not match[1] for match in _CLASS.finditer(pattern)):
        return "the pattern has a `[` that is not closed; `[[]` stands for the character itself"
    literal = _WILDCARDS.sub(lambda found: found[1] or "", pattern.removeprefix(CATEGORIES[category].prefix))
    if not any(character.isalnum() for character in literal):
        return f"the pattern {pattern!r} would match everything: it names no letter or digit"
    return None


def parse_list(text: str, path: str) -> list[Entry]:
    """The entries of the list `text`, expired ones included; TableError with `path` and line of what is wrong."""
    import yaml  # Start-up does not need it.

    from tables.text import bounded_yaml

    try:
        # Nodes rather than values: they know their lines, and every scalar is text.
        document = bounded_yaml.compose(text)
        return list(_Reader(path).entries(document)) if document is not None else []
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TableError(f"known_good: {path}, line {mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise TableError(f"known_good: {path}: not valid YAML: {str(error).partition(chr(10))[0]}") from None


class _Reader:
    """Walks the YAML nodes of one list."""

    def __init__(self, path: str) -> None:
        self.path = path

    def entries(self, document: yaml.Node) -> Iterator[Entry]:
        """The entries in the file's order."""
        for name, node in self._mapping(document, "a list is the mapping `known_good:`").items():
            if name != "known_good":
                raise self._error(node, f"the unknown key {name[:80]!r}")
            if _is_null(node):
                continue
            for category, listed in self._mapping(node, "`known_good` must map categories to entries").items():
                if category not in CATEGORIES:
                    raise self._error(listed, f"the unknown category {category[:80]!r}; there are: {', '.join(CATEGORIES)}")
                for entry in [] if _is_null(listed) else self._sequence(listed, f"`{category}` must be a list of entries"):
                    yield self._entry(category, entry)

    def _entry(self, category: str, node: yaml.Node) -> Entry:
        fields = self._mapping(node, "an entry is a mapping with the key `pattern`")
        texts: dict[str, str] = {}
        for name, value in fields.items():
            if name not in _KEYS:
                raise self._error(value, f"an entry has the unknown key {name[:80]!r}")
            if not _is_null(value):
                texts[name] = self._text(value, name)
        if "pattern" not in texts:
            raise self._error(node, "an entry lacks the key `pattern`")
        problem = pattern_problem(category, texts["pattern"])
        if problem:
            raise self._error(fields["pattern"], problem)
        expires = self._expiry(fields["expires"], texts["expires"]) if "expires" in texts else None
        return Entry(category, texts["pattern"], texts.get("note"), expires, self.path, node.start_mark.line + 1)

    def _expiry(self, node: yaml.Node, text: str) -> int:
        try:
            if not _DATE.fullmatch(text):
                raise ValueError
            last = datetime.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
            return int(last.timestamp()) + _DAY_SECONDS
        except ValueError:
            raise self._error(node, f"`expires` must be a day, YYYY-MM-DD, not {text[:80]!r}") from None

    def _mapping(self, node: yaml.Node, otherwise: str) -> dict[str, yaml.Node]:
        from yaml import MappingNode

        if not isinstance(node, MappingNode):
            raise self._error(node, otherwise)
        mapping: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key, "key")
            if name in mapping:
                raise self._error(key, f"the key {name[:80]!r} appears twice")
            mapping[name] = value
        return mapping

    def _sequence(self, node: yaml.Node, otherwise: str) -> list[yaml.Node]:
        from yaml import SequenceNode

        if not isinstance(node, SequenceNode):
            raise self._error(node, otherwise)
        return list(node.value)

    def _text(self, node: yaml.Node, name: str) -> str:
        if not isinstance(node.value, str):
            raise self._error(node, f"`{name}` must be a text")
        # What SQL sees of paths and commands is cleaned too.
        return clean_text(node.value)

    def _error(self, node: yaml.Node, message: str) -> TableError:
        return TableError(f"known_good: {self.path}, line {node.start_mark.line + 1}: {message}")


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


class _Lists:
    """The parsed lists, read again when a file was changed, added or removed."""

    def __init__(self) -> None:
        self._identity: Optional[tuple[object, ...]] = None
        self._entries: list[Entry] = []

    def get(self, host: Host) -> list[Entry]:
        # The analyst's files belong to the machine we run on, also when a mounted disk is examined.
        files = Files("/")
        paths = host.settings.known_good_files()
        try:
            stats = [files.stat(path) for path in paths]
            identity = tuple(
                (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino) for path, found in zip(paths, stats)
            )
            if identity != self._identity:
                entries: list[Entry] = []
                for path, found in zip(paths, stats):
                    if found.st_size > _MAX_FILE:
                        raise TableError(f"known_good: {path}: larger than {_MAX_FILE >> 20} MiB")
                    entries += parse_list(files.read_trusted(path, _MAX_FILE), path)
                self._entries = entries
                self._identity = identity
        except OSError as error:
            raise TableError(f"known_good: {error}") from None
        return self._entries


def in_force(entries: Iterable[Entry], now: float) -> tuple[list[Entry], int]:
    """Those of the entries that count at `now` (unix seconds), and how many have expired."""
    every = list(entries)
    current = [entry for entry in every if entry.expires is None or entry.expires > now]
    return current, len(every) - len(current)


def known_good_entries(host: Host) -> list[Entry]:
    """Every entry of the site's lists, expired ones included, in the files' order.

    Raises TableError naming the file (and line) for a list that is missing though named, not trusted or not valid.
    """
    return host.state("known_good", _Lists).get(host)
