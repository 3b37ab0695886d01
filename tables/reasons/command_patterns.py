"""The patterns of command_patterns.yaml, and what a text matches of them."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.preloads import preload_origins
from tables.indicators.process_names import process_names
from tables.schema import Words
from tables.text.code_calls import CODE_LIMIT

# What a pattern may look at; the head comment of command_patterns.yaml says what each is.
VIEWS = ("text", "command", "fed", "program", "written", "filled", "fleeting", "code")
_SHORT = 128


class Pattern(NamedTuple):
    """One entry of command_patterns.yaml; its head comment says what each field means."""

    name: str
    view: str
    regex: re.Pattern[str]
    is_alert: bool
    must_match: tuple[str, ...]
    must_not_match: tuple[str, ...]


@functools.cache
def patterns() -> tuple[Pattern, ...]:
    """All patterns, read once when first needed."""
    return tuple(
        Pattern(
            entry["name"],
            entry["view"],
            re.compile(_with_lists(entry["pattern"]), re.DOTALL),
            entry.get("alert", True),
            tuple(entry["must_match"]),
            tuple(entry["must_not_match"]),
        )
        for entry in load_yaml("command_patterns.yaml")["patterns"]
    )


def _with_lists(pattern: str) -> str:
    pattern = pattern.replace("{writable_folders}", process_names().writable_folders_pattern)
    pattern = pattern.replace("{tool_folders}", process_names().tool_folders_pattern)
    return pattern.replace("{preload_tools}", preload_origins().tools_pattern)


def command_words() -> Words:
    """The names of all patterns, as the words of a column of reasons."""
    return Words(tuple(sorted({pattern.name for pattern in patterns()})))


def judged_words() -> Words:
    """The same for a column of which those that are worth an alert by themselves have one, and the others explain."""
    return Words(tuple(sorted(_alerts())), tuple(sorted({pattern.name for pattern in patterns()} - _alerts())))


@functools.cache
def _alerts() -> frozenset[str]:
    return frozenset(pattern.name for pattern in patterns() if pattern.is_alert)


def alert_reasons(*reasons: Optional[str]) -> list[str]:
    """Which of these reasons (columns of them, separated by commas) are worth an alert by themselves; sorted, each once."""
    return sorted(_alerts().intersection(*[{word for text in reasons if text for word in text.split(",")}]))


@functools.cache
def _patterns_on(view: str) -> tuple[Pattern, ...]:
    return tuple(pattern for pattern in patterns() if pattern.view == view)


def matches(view: str, text: str) -> frozenset[str]:
    """The names of the patterns of a view that `text` matches."""
    return _short_matches(view, text) if len(text) <= _SHORT else _searched(view, text)


@functools.lru_cache(maxsize=4096)
def _short_matches(view: str, text: str) -> frozenset[str]:
    """The same, remembered: scripts are full of the same short commands (`exit 0`, `shift`)."""
    return _searched(view, text)


def _searched(view: str, text: str) -> frozenset[str]:
    return frozenset(pattern.name for pattern in _patterns_on(view) if pattern.regex.search(text))


def named_files(view: str, text: str) -> tuple[tuple[str, str], ...]:
    """(name, file) of each pattern of a view whose match names a file."""
    return _short_files(view, text) if len(text) <= _SHORT else _searched_files(view, text)


@functools.lru_cache(maxsize=4096)
def _short_files(view: str, text: str) -> tuple[tuple[str, str], ...]:
    return _searched_files(view, text)


def _searched_files(view: str, text: str) -> tuple[tuple[str, str], ...]:
    matches = ((pattern.name, pattern.regex.search(text)) for pattern in _patterns_on(view))
    return tuple((name, next(group for group in match.groupdict().values() if group)) for name, match in matches if match)


def code_matches(code: str) -> frozenset[str]:
    """What code of another language than the shell's says as a whole: shells over sockets, fetched or decoded code."""
    return matches("code", code[:CODE_LIMIT])


def text_reasons(text: str) -> set[str]:
    """What the raw text of a file says by itself, whatever it means: characters or blanks that hide part of it."""
    return set(matches("text", text))
