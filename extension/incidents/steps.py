"""What to do about a finding: the steps of its query's response with the row's own values, quoted for a shell."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

from extension.pack.parts import COLUMN, PHASES, Query, ResponseStep, columns_of
from tables.indicators.process_names import hidden_component, is_below, process_names
from tables.schema import clean_text

# A longer value says nothing to a reader, and is no path that one types.
VALUE_SHOWN = 400
_IN_TEXT = 120
_TOKEN = re.compile(rf"`(?P<code>[^`]*)`|{COLUMN.pattern}")
_BARE_IN_SHELL = re.compile(r"[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*")
# A quoted value must be a word of its own: these may stand before and after it.
_BEFORE_WORD = re.compile(r"(^|[\s=;:])$")
_AFTER_WORD = re.compile(r"$|[\s;)]")
_NOTHING = {
    **dict.fromkeys(("pid", "parent", "restarter_pid", "relay_pid", "line", "port", "remote_port", "listen_port"), ("0", "-1")),
    "remote_address": ("0.0.0.0", "::"),  # noqa: S104  # what a listener has for one
    "is_immutable": ("0",),
}
_REMOVES = re.compile(rf"rm -- {COLUMN.pattern}")
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc", "/boot")


class Segment(NamedTuple):
    """A piece of a text: `text`, `code` (a name or command), or `value` (the host's)."""

    kind: str
    text: str


Segments = tuple[Segment, ...]


class Todo(NamedTuple):
    """One thing to do: a text, and the command for it where there is one.

    `is_refused` tells that there is one, but that a value in it could be misread by a shell or by whoever types it.
    """

    phase: str
    rank: int
    text: Segments
    command: str = ""
    is_refused: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Its place in a plan."""
        return PHASES.index(self.phase), self.rank


def todos(query: Query, row: Mapping[str, str], language: str) -> tuple[Todo, ...]:
    """The steps that apply to a row, by phase; one that names what the row has not is left out."""
    found = [_todo(step, row, language) for step in query.response]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: PHASES.index(one.phase)))


def all_todos(query: Query, rows: Iterable[Mapping[str, str]], language: str) -> tuple[Todo, ...]:
    """Those of all rows, each different one once, by phase."""
    found = dict.fromkeys(one for row in rows for one in todos(query, row, language))
    return tuple(sorted(found, key=lambda one: PHASES.index(one.phase)))


def prose(text: str) -> Segments:
    """A text of the pack, its `code` told from the rest."""
    return _told(text, None)


def plain(segments: Segments) -> str:
    """The segments as one text, as the pack's author wrote it."""
    return "".join(f"`{text}`" if kind == "code" else text for kind, text in segments)


def _todo(step: ResponseStep, row: Mapping[str, str], language: str) -> Optional[Todo]:
    text = step.text.get(language)
    needed = [*columns_of(step.text.en), *columns_of(step.command), *([step.when] if step.when else ())]
    if any(_is_empty(column, row) for column in needed) or (step.unless and not _is_empty(step.unless, row)):
        return None
    if any(_belongs_to_the_system(column, row[column]) for column in _REMOVES.findall(step.command)):
        return None
    command = _command(step.command, row)
    return Todo(step.phase, step.rank, _told(text, row), command or "", is_refused=command is None)


def _is_empty(column: str, row: Mapping[str, str]) -> bool:
    value = row.get(column, "")
    return not value or value in _NOTHING.get(column, ())


def _belongs_to_the_system(column: str, path: str) -> bool:
    """Whether removing a program that the finding only names could break the host: an interpreter, or among the system's own."""
    if process_names().interpreters.match(PurePosixPath(path).name) and is_below(path, _SYSTEM_FOLDERS):
        return True
    return column != "path" and is_below(path, _SYSTEM_FOLDERS) is not None and hidden_component(path) is None


def _told(text: str, row: Optional[Mapping[str, str]]) -> Segments:
    """A text as segments; without a row its columns stand by their names."""
    segments: list[Segment] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            segments.append(Segment("text", text[end : match.start()]))
        end = match.end()
        if match["code"] is not None:
            code = match["code"] if row is None else COLUMN.sub(lambda blank: _shown(row.get(blank[1], "")), match["code"])
            segments.append(Segment("code", code))
        elif row is None:
            segments.append(Segment("code", match[2]))
        else:
            segments.append(Segment("value", _shown(row.get(match[2], ""))))
    if end < len(text):
        segments.append(Segment("text", text[end:]))
    return tuple(segments)


def _shown(value: str) -> str:
    text = clean_text(value)
    return text if len(text) <= _IN_TEXT else text[:_IN_TEXT] + "…"


def _command(template: str, row: Mapping[str, str]) -> Optional[str]:
    """The template with the row's values; None where one could be taken for an option, for two words, or for other text."""
    pieces = []
    end = 0
    for match in COLUMN.finditer(template):
        word = _shell_word(row[match[1]], template[: match.start()], template[match.end() :])
        if word is None:
            return None
        pieces += [template[end : match.start()], word]
        end = match.end()
    return "".join((*pieces, template[end:]))


def _shell_word(value: str, before: str, after: str) -> Optional[str]:
    if len(value) > VALUE_SHOWN:
        return None
    if _BARE_IN_SHELL.fullmatch(value):
        return value
    is_own_word = _BEFORE_WORD.search(before) and _AFTER_WORD.match(after)
    is_quoted_already = before.count("'") % 2 or before.count('"') % 2
    if value.startswith("-") or not is_own_word or is_quoted_already:
        return None
    return shlex.quote(value) if all(map(_reads_as_it_is, value)) else None


def _reads_as_it_is(character: str) -> bool:
    return character.isprintable() and unicodedata.bidirectional(character) not in ("R", "AL", "AN")
