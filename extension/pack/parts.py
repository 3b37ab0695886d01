"""What a pack is made of: steps of the SOP, their queries, and what is said and done about a query's rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Optional

KINDS = ("detection", "inventory", "policy", "evidence")
LANGUAGES = ("en", "zh")
SEVERITIES = ("critical", "high", "medium", "low")
# One finding of these is an incident by itself.
GRAVE = SEVERITIES[:2]
# What a detection's rows are in the story of a compromise; a weakness may be how it came about, and is no sign of one.
WEAKNESS = "weakness"
STAGES = ("entry", "execution", "persistence", "hiding", "mining", WEAKNESS)
# What a response is for, in the order in which it is done.
PHASES = ("contain", "preserve", "eradicate", "recover", "verify")
# Stands in texts and commands for the row's value.
COLUMN = re.compile(r"<([a-z0-9_]+)>")
# Common table expressions count too: none has a table's name.
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")


def columns_of(text: str) -> list[str]:
    """The columns that a text or command names as `<column>`, in order."""
    return COLUMN.findall(text)


class Problem(NamedTuple):
    """One thing wrong with a pack: where it is, and what the author is told."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class PackError(Exception):
    """The pack cannot be used; `problems` names every reason, the message has one `file:line: reason` a line."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Text:
    """A text in both languages."""

    en: str
    zh: str

    def get(self, language: str) -> str:
        """The text in `language`: "zh", or English for any other."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class ResponseStep:
    """One thing to do about a row: `<column>` in the text and the command stands for the row's value.

    It is left out for a row in which a column that it names is empty, as is `when`, or in which `unless` is not. `rank` is its
    place in a plan among the steps of its phase.
    """

    phase: str
    text: Text
    command: str = ""
    when: str = ""
    unless: str = ""
    rank: int = 0

    def shown(self, language: str) -> str:
        """The step as one text, with its columns by name."""
        return f"{self.text.get(language)} `{self.command}`" if self.command else self.text.get(language)


@dataclass(frozen=True)
class Query:
    """One query of a step; `lines` gives the line of each key in `file`, and `line` that of the query's name.

    `sql` is what runs: the condition of the key `known_good` stands in it. `stage` is what a detection's rows are in the story
    of a compromise, `things` the columns that hold a kind of thing that findings can share, and `says` a row in a few words,
    with its values as `<column>` and parts in brackets that are left out where a value is empty.
    """

    name: str
    kind: str
    severity: str
    attack: tuple[str, ...]
    interval: int
    snapshot: bool
    needs_root: bool
    description: Text
    response: tuple[ResponseStep, ...]
    false_positives: tuple[Text, ...]
    sql: str
    file: Path
    line: int
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    title: Text = Text("", "")
    stage: str = ""
    things: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    says: Optional[Text] = None

    @cached_property
    def tables(self) -> frozenset[str]:
        """The tables that it reads, and its own common table expressions."""
        return frozenset(_TABLE.findall(self.sql))


@dataclass(frozen=True)
class Step:
    """One step of the SOP: what it wants checked, and the queries that check it, in the file's order."""

    step: int
    title: Text
    asks: Text
    queries: tuple[Query, ...]
    file: Path
    line: int


class Discovery(NamedTuple):
    """Event tables, and the SQL that gives a row while osquery feeds one of them."""

    tables: tuple[str, ...]
    sql: str
    line: int


@dataclass(frozen=True)
class Pack:
    """A pack: its name (the folder's), and its steps in the SOP's order; those of events also when which of them run."""

    name: str
    folder: Path
    steps: tuple[Step, ...]
    discovery: Mapping[str, Discovery] = field(default_factory=dict)

    def queries(self) -> list[Query]:
        """All queries, step by step."""
        return [query for step in self.steps for query in step.queries]
