"""redis.conf as Redis and Valkey read it: directives by lines, includes, access lists; options override."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

_MAX_FILES = 32
# sdssplitargs() of Redis: a blank, a quoted part, another part. What is never closed ends with the line, so that it is read once.
_PART = re.compile(
    r"(?P<blank>\s+)|(?P<quote>[\"'])(?P<inner>(?:(?!(?P=quote))[^\\]|\\.)*)(?P<end>(?P=quote)?)|(?P<plain>[^\s\"']+)", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Directive(NamedTuple):
    """One directive: keyword in small letters, arguments without quotes; `path` is None on the command line."""

    keyword: str
    arguments: tuple[str, ...]
    path: Optional[str]
    line: Optional[int]

    @property
    def value(self) -> str:
        """The first argument, "" when there is none."""
        return self.arguments[0] if self.arguments else ""


def parse_redis(text: str, path: Optional[str] = None) -> list[Directive]:
    """The directives of a configuration (or access list) file in order; comments and blank lines left out."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            words = _split(stripped)
            found.append(Directive(words[0].lower(), tuple(words[1:]), path, number))
    return found


def _split(line: str) -> list[str]:
    """The words of a line, quotes undone; of one with a quote that is never closed, which Redis refuses, what blanks part."""
    words: list[list[str]] = []
    is_new = True
    for match in _PART.finditer(line):
        if match["quote"] and not match["end"]:
            return line.split()
        if not match["blank"]:
            words += [[]] if is_new else []
            words[-1].append(match["plain"] or _ESCAPED.sub(r"\1", match["inner"] or ""))
        is_new = bool(match["blank"])
    return ["".join(parts) for parts in words]


def command_line_directives(argv: Sequence[str]) -> list[Directive]:
    """The directives that `--keyword value …` options stand for; they come after the file and so override it."""
    found: list[tuple[str, list[str]]] = []
    for word in argv[1:]:
        if word.startswith("--") and len(word) > 2:
            found.append((word[2:].lower(), []))
        elif found:
            found[-1][1].append(word)
    return [Directive(keyword, tuple(arguments), None, None) for keyword, arguments in found]


def with_includes(path: str, read: Callable[[str], Optional[str]]) -> list[Directive]:
    """The directives of `path` with those of included files in their places; `read` gives a file's text, None if it cannot.

    At most 32 files; a pattern in an include, and a file that includes itself, add nothing.
    """
    seen: set[str] = set()

    def load(name: str) -> list[Directive]:
        if name in seen or len(seen) >= _MAX_FILES:
            return []
        seen.add(name)
        found: list[Directive] = []
        for directive in parse_redis(read(name) or "", name):
            found += load(directive.value) if directive.keyword == "include" else [directive]
        return found

    return load(path)


def last(directives: Sequence[Directive], keyword: str) -> Optional[Directive]:
    """The directive that counts: the last of its keyword."""
    return next((found for found in reversed(directives) if found.keyword == keyword), None)


def default_user_needs_password(directives: Sequence[Directive]) -> Optional[bool]:
    """What the ACL rules say of the `default` user, whom a client without login is; None when they say nothing of it."""
    answer: Optional[bool] = None
    for directive in directives:
        if directive.keyword != "user" or directive.value != "default":
            continue
        for rule in directive.arguments[1:]:
            if rule == "nopass":
                answer = False
            elif rule in ("resetpass", "reset") or rule.startswith((">", "#")):
                answer = True
        # Nobody can be a user that is off.
        answer = True if "off" in directive.arguments[1:] else answer
    return answer
