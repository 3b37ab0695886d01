"""apt's configuration as apt.conf(5) describes it: `A::B "value";`, nested scopes, lists, three kinds of comment."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from tables.host.disk.files import Files, Unreadable

_FOLDER = "/etc/apt/apt.conf.d"
_FILE = "/etc/apt/apt.conf"
# Other names in the folder are left alone (apt.conf(5)).
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_FILE_LIMIT = 256 * 1024
_MAX_DEPTH = 50
_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<comment>//[^\n]* | /\*(?:[^*]|\*(?!/))*(?:\*/|\Z) | \#(?!clear\b|include\b)[^\n]*)
    | (?P<text>"[^"\n]*"?) | (?P<mark>[{};]) | (?P<word>[^\s{};"]+)""",
    re.VERBOSE,
)


class AptSetting(NamedTuple):
    """One setting: its name in small letters, parts joined by `::`, its value, and where it is written."""

    name: str
    value: str
    path: str
    line: int


def parse_apt(text: str, path: str = "") -> list[AptSetting]:
    """The settings in one file, in order. A list's elements carry the list's name followed by `::`.

    `#clear NAME` gives a setting named `#clear name` without value; `#include` is not followed.
    """
    found: list[AptSetting] = []
    scopes: list[str] = []
    words: list[str] = []
    start = 1
    line, counted = 1, 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup in ("space", "comment"):
            continue
        line += text.count("\n", counted, token.start())
        counted = token.start()
        kind, value = token.lastgroup, token[0]
        if kind != "mark":
            start = line if not words else start
            words.append(value if kind == "word" else value.strip('"') + "\0")
        elif value == "{":
            scopes.append(
                "::".join(filter(None, (scopes[-1] if scopes else "", _plain(words)))) if len(scopes) < _MAX_DEPTH else ""
            )
            words = []
        else:
            if words:
                found.append(_setting(scopes[-1] if scopes else "", words, path, start))
            words = []
            if value == "}" and scopes:
                scopes.pop()
    return found


def _plain(words: list[str]) -> str:
    return words[0].rstrip("\0").lower() if words else ""


def _setting(scope: str, words: list[str], path: str, line: int) -> AptSetting:
    """`name "value"`, or an element of the list that the scope is."""
    if words[0].lower() == "#clear":
        return AptSetting(f"#clear {_plain(words[1:])}", "", path, line)
    if len(words) == 1 and words[0].endswith("\0"):
        return AptSetting(f"{scope}::", words[0].rstrip("\0"), path, line)
    name = "::".join(filter(None, (scope, _plain(words))))
    return AptSetting(name, " ".join(word.rstrip("\0") for word in words[1:]), path, line)


def apt_setting(files: Files, name: str) -> Optional[AptSetting]:
    """The value of a setting that counts: the last in apt.conf.d's files by name, then in apt.conf; None when it is not set.

    Unreadable when one of the files cannot be read. Not seen: APT_CONFIG and command lines.
    """
    wanted = name.lower()
    found: Optional[AptSetting] = None
    paths = [f"{_FOLDER}/{entry}" for entry in files.names(_FOLDER) if _is_read(entry)]
    for path in [*paths, _FILE]:
        try:
            text = files.read_text(path, _FILE_LIMIT)
        except Unreadable as error:
            if error.is_missing or error.why == "not a regular file":
                continue
            raise
        for setting in parse_apt(text, path):
            if setting.name == wanted:
                found = setting
            elif setting.name.startswith("#clear ") and (wanted + "::").startswith(
                setting.name[len("#clear ") :].rstrip(":") + "::"
            ):
                found = None
    return found


def _is_read(entry: str) -> bool:
    return _NAME.fullmatch(entry) is not None and ("." not in entry or entry.endswith(".conf"))
