"""What polkit's rules allow without asking for a password, and the programs that they start (polkit(8), pklocalauthority(8))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tables.text.lines import numbered_matches

RULE_FOLDERS = (
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
)
# Each with folders in which .pkla files lie; older versions of polkit read them, and Debian's polkitd-pkla does.
AUTHORITY_FOLDERS = ("/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority")

# Strings and comments are told apart in one pass; what is never closed ends with the text.
_TOKEN = re.compile(r"\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)
_RULE_START = re.compile(r"\bpolkit\s*\.\s*addRule\b")
_YES = re.compile(r"\bpolkit\s*\.\s*Result\s*\.\s*YES\b|\breturn\s*[\"']yes[\"']")
_SUBJECT = re.compile(r"\bsubject\s*[.\[]")
_ACTION = re.compile(r"\baction\s*[.\[]")
# With these alone one becomes root: pkexec, starting units, installing packages, changing accounts.
_ROOT_ACTIONS = re.compile(
    r"org\.freedesktop\.(?:policykit\.exec|systemd1\.|packagekit\.(?!system-sources-refresh|system-network-proxy)|accounts\.)|\.indexOf\(\s*[\"'](?:org\.(?:freedesktop\.)?)?[\"']"
)
# Of one unit or one package, not of any.
_LIMITED = re.compile(r"\baction\s*\.\s*lookup\s*\(\s*[\"'](?:unit|package)[\"']\s*\)\s*===?\s*[\"']")
_SPAWN = re.compile(r"\bpolkit\s*\.\s*spawn\s*\(\s*\[([^\]]{0,4096})\]")
_STRING = re.compile(r"\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'")
_EVERYBODY = frozenset({"*", "unix-user:*", "unix-group:*", "default"})


class OpenRule(NamedTuple):
    """A rule that lets everybody do something as root without a password: its first line, and its text on one line."""

    line: int
    text: str


def open_rules(text: str) -> Iterator[OpenRule]:
    """Yield the rules (JavaScript) that say YES without looking at who asks, to every action or to one that gives root."""
    text = _without_comments(text)
    starts = [(line, match.start()) for line, match in numbered_matches(_RULE_START, text)]
    for (line, start), (_, end) in zip(starts, [*starts[1:], (0, len(text))]):
        rule = text[start:end]
        if _LIMITED.search(rule):
            continue
        if _YES.search(rule) and not _SUBJECT.search(rule) and (not _ACTION.search(rule) or _ROOT_ACTIONS.search(rule)):
            yield OpenRule(line, " ".join(rule[:500].split()))


def open_authorities(text: str) -> Iterator[OpenRule]:
    """Yield the sections of a .pkla file that say yes to everybody, for every action or one that gives root."""
    section: dict[str, str] = {}
    first = 0
    for number, line in enumerate([*text.split("\n"), "[]"], 1):
        line = line.strip()
        if line.startswith("["):
            actions = section.get("action", "")
            is_root = "*" in actions.split(";") or "org.freedesktop.*" in actions.split(";") or _ROOT_ACTIONS.search(actions)
            everybody = _EVERYBODY.intersection(section.get("identity", "").split(";"))
            if is_root and everybody and "yes" in (section.get(f"result{state}") for state in ("any", "inactive", "active")):
                yield OpenRule(first, " ".join(f"{key}={value}" for key, value in section.items())[:500])
            section, first = {}, number
        elif "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section[key.strip().lower()] = value.strip()


def spawned_programs(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, words) of each program that a rule starts by polkit.spawn()."""
    text = _without_comments(text)
    for line, match in numbered_matches(_SPAWN, text):
        words = [one if one is not None else other for one, other in (found.groups() for found in _STRING.finditer(match[1]))]
        if words:
            yield line, words


def _without_comments(text: str) -> str:
    """The text with comments emptied, but for their line breaks."""
    return _TOKEN.sub(lambda match: match[0] if match[0][0] != "/" else "\n" * match[0].count("\n"), text)
