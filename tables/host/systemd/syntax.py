"""Parses systemd's unit files (systemd.syntax(7), systemd.service(5)): pure functions on text that never raise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Optional

UNIT_TYPES = frozenset(
    {"service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope"}
)  # fmt: skip
# Directives that run commands, in services, sockets, mounts and swaps.
COMMAND_KEYS = frozenset(
    {"ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "ExecStopPre", "ExecStopPost"}
)
COMMAND_SECTIONS = frozenset({"Service", "Socket", "Mount", "Swap"})
# Directives that say when another unit is started, by section.
TRIGGER_KEYS = {
    "Timer": frozenset(
        {
            "OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec",
            "OnTimezoneChange", "OnClockChange",
        }
    ),
    "Path": frozenset({"PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty"}),
    "Socket": frozenset(
        {
            "ListenStream", "ListenDatagram", "ListenSequentialPacket", "ListenFIFO", "ListenSpecial", "ListenNetlink",
            "ListenMessageQueue", "ListenUSBFunction",
        }
    ),
}  # fmt: skip
# `|` runs the command in the user's shell (systemd 258).
EXEC_PREFIXES = "-@:+!|"
# Of longer ones the beginning is read, so that what is filled in cannot make them huge.
_MAX_WORDS = 4096
MAX_COMMAND = 16 * 1024
_MAX_VARIABLE = 1024

# systemd ends a line at any of these.
_LINE = re.compile(r"[^\n\r\0]*(\r\n|\n\r|[\n\r\0])?")
_TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
_WHITESPACE = " \t\n\r"
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.)|$)", re.DOTALL)
_SIMPLE_ESCAPES = dict(zip("abfnrtvs", "\a\b\f\n\r\t\v "))
_PLAIN = re.compile(r"[^ \t\n\r'\"\\]+")
_SINGLE_QUOTED = re.compile(r"[^'\\]+")
_DOUBLE_QUOTED = re.compile(r'[^"\\]+')
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\})")


class Setting(NamedTuple):
    """One assignment of a unit file: continuations joined, blanks around the value removed; `line` counts from 1."""

    section: str
    key: str
    value: str
    line: int


class ExecCommand(NamedTuple):
    """One command of an Exec…= directive: as written, and its words with quotes and escapes removed.

    `prefixes` are the special characters before the program (systemd.service(5), "Command lines"). The first word is
    the program that is run; the name that `@` gives it is left out.
    """

    text: str
    prefixes: str
    words: tuple[str, ...]


def parse_unit(text: str) -> list[Setting]:
    """The assignments of a unit file in their order, empty values included; what is no assignment is passed over.

    Linear in the length of the text.
    """
    found = []
    section = ""
    for number, line in _logical_lines(text):
        line = line.strip(_WHITESPACE)
        if line.startswith("["):
            section = line[1:-1] if line.endswith("]") else ""
            continue
        key, equals, value = line.partition("=")
        if equals and section:
            found.append(Setting(section, key.rstrip(_WHITESPACE), value.lstrip(_WHITESPACE), number))
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with the number on which each starts: continuations joined, comments left out, also within continuations."""
    parts: list[str] = []
    start = number = 1
    for match in _LINE.finditer(text.removeprefix("\ufeff")):
        line = match[0][: len(match[0]) - len(match[1] or "")]
        if line.lstrip(_WHITESPACE)[:1] not in ("#", ";"):
            if not parts:
                start = number
            if (len(line) - len(line.rstrip("\\"))) % 2:
                # The blanks that begin the next line are kept: so many of them can hide what follows.
                parts.append(line[:-1] + " ")
            else:
                parts.append(line)
                yield start, "".join(parts)
                parts = []
        number += (match[1] or "").count("\n")
    if parts:
        yield start, "".join(parts)


def values(settings: Iterable[Setting], section: str, *keys: str) -> list[Setting]:
    """The assignments to list directives that hold at the end: an empty one takes back the earlier ones of its key."""
    found: dict[str, list[tuple[int, Setting]]] = {key: [] for key in keys}
    for index, setting in enumerate(settings):
        if setting.section == section and setting.key in found:
            if setting.value:
                found[setting.key].append((index, setting))
            else:
                found[setting.key] = []
    return [setting for _, setting in sorted(one for held in found.values() for one in held)]


def last_value(settings: Iterable[Setting], section: str, key: str) -> Optional[str]:
    """What a directive that takes one value is set to at the end; None when it is not, or set to nothing."""
    found = None
    for setting in settings:
        if setting.section == section and setting.key == key:
            found = setting.value or None
    return found


def events(settings: Iterable[Setting]) -> list[Setting]:
    """The assignments that say when a timer, path or socket unit starts another unit, in their order."""
    settings = list(settings)
    held = [setting for section, keys in TRIGGER_KEYS.items() for setting in values(settings, section, *keys)]
    return sorted(held, key=lambda setting: setting.line)


def exec_commands(value: str) -> list[ExecCommand]:
    """The commands of an Exec…= value, which a lone `;` separates; quotes and C escapes as in systemd.syntax(7)."""
    value = value[:MAX_COMMAND]
    commands = []
    words: list[str] = []
    first, last = 0, 0
    for word, start, end in _words(value):
        if value[start:end] == ";":
            if words:
                commands.append(_command(value[first:last], words))
            words = []
            continue
        if not words:
            first = start
        last = end
        words.append(";" if value[start:end] == "\\;" else word)
    if words:
        commands.append(_command(value[first:last], words))
    return commands


def _command(text: str, words: list[str]) -> ExecCommand:
    program = words[0].lstrip(EXEC_PREFIXES)
    prefixes = words[0][: len(words[0]) - len(program)]
    behind = words[2:] if "@" in prefixes else words[1:]
    return ExecCommand(text, prefixes, (program, *behind) if program else ())


def split_words(value: str) -> list[str]:
    """The words of a value such as that of Environment=, quotes and escapes removed."""
    return [word for word, _, _ in _words(value)]


def _words(value: str) -> Iterator[tuple[str, int, int]]:
    """Each word of `value` with where it begins and ends; a quote that is not closed lasts to the end."""
    position = count = 0
    while position < len(value) and count < _MAX_WORDS:
        if value[position] in _WHITESPACE:
            position += 1
            continue
        start = position
        parts: list[str] = []
        quote = ""
        while position < len(value):
            char = value[position]
            if not quote and char in _WHITESPACE:
                break
            if char == "\\":
                escape = _ESCAPE.match(value, position)
                parts.append(_unescaped(escape) if escape else char)
                position = escape.end() if escape else position + 1
            elif char == quote or (not quote and char in "'\""):
                quote = "" if quote else char
                position += 1
            else:
                plain = _PLAIN if not quote else _SINGLE_QUOTED if quote == "'" else _DOUBLE_QUOTED
                run = plain.match(value, position)
                parts.append(run[0] if run else char)
                position = run.end() if run else position + 1
        count += 1
        yield "".join(parts), start, position


def _unescaped(match: re.Match[str]) -> str:
    hexadecimal, octal, short, long, simple = match.groups()
    if simple is not None:
        # What is no escape keeps its backslash, except before quotes, blanks and the backslash itself.
        return _SIMPLE_ESCAPES.get(simple) or (simple if simple in "\\'\" " else match[0])
    if hexadecimal is None and octal is None and short is None and long is None:
        return "\\"
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else match[0]


def expand_specifiers(text: str, known: Mapping[str, str], unknown: str = "*") -> str:
    """`text` with the specifiers of systemd.unit(5) that `known` holds filled in; `unknown` stands for all others."""

    def expand(match: re.Match[str]) -> str:
        return "%" if match[1] == "%" else known.get(match[1], unknown) if match[1].isalpha() else match[0]

    return _SPECIFIER.sub(expand, text)


def expand_variables(words: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """The words of a command with the variables of `environment` filled in, as systemd does before it starts the program.

    `${NAME}` anywhere, `$NAME` only as a word of its own, which is then split. Other variables stay as they are. Of a
    variable's value the first 1,024 characters are used.
    """
    environment = {name: value[:_MAX_VARIABLE] for name, value in environment.items()}
    found: list[str] = []
    for word in words:
        if word[:1] == "$" and word[1:] in environment:
            found += environment[word[1:]].split()
        else:
            found.append(_VARIABLE.sub(lambda match: "$" if match[1] is None else environment.get(match[1], match[0]), word))
    return found


def split_name(name: str) -> tuple[str, Optional[str], str]:
    """Prefix, instance ("" for a template, None for a unit that is neither) and type of a unit's name."""
    stem, _, kind = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return prefix, instance if at else None, kind


def template_of(name: str) -> Optional[str]:
    """`foo@.service` for the instance `foo@bar.service`; None for what is no instance."""
    prefix, instance, kind = split_name(name)
    return f"{prefix}@.{kind}" if instance else None


def is_unit_name(name: str) -> bool:
    """Whether the name ends in one of systemd's unit types."""
    stem, _, kind = name.rpartition(".")
    return kind in UNIT_TYPES and bool(stem)


def drop_in_names(name: str) -> list[str]:
    """Whose drop-ins hold for the unit `name`, the most specific first: itself, its template, `foo-.service`, `service`."""
    prefix, instance, kind = split_name(name)
    template = template_of(name)
    found = [name] if template is None else [name, template]
    suffix = "@" if instance is not None else ""
    parts = prefix.split("-")[:64]
    for count in range(len(parts) - 1, 0, -1):
        shorter = "-".join(parts[:count]) + "-"
        if instance:
            found.append(f"{shorter}@{instance}.{kind}")
        found.append(f"{shorter}{suffix}.{kind}")
    return [*dict.fromkeys(found), kind]


def activated_unit(name: str, settings: Iterable[Setting]) -> Optional[str]:
    """The unit that a timer, path or socket unit starts: Unit= (Service= of a socket), else the service of its own name."""
    prefix, instance, kind = split_name(name)
    if kind not in ("timer", "path", "socket"):
        return None
    settings = list(settings)
    section, key = ("Socket", "Service") if kind == "socket" else (kind.capitalize(), "Unit")
    given = last_value(settings, section, key)
    if given:
        return given
    if kind == "socket" and instance is None and (last_value(settings, "Socket", "Accept") or "").lower() in _TRUE:
        return f"{prefix}@.service"
    return f"{name[: -len(kind)]}service"
