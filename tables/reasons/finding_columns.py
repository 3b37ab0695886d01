"""The columns with which tables of findings end: what may excuse a row, and the facts behind it."""

from __future__ import annotations

from typing import Any

from tables.schema import TEXT, column


def exception_column() -> Any:
    """The field of a Row for the built-in explanation."""
    return column(TEXT, "built-in explanation that makes the row harmless as a rule; empty when there is none")


def evidence_column() -> Any:
    """The field of a Row for the facts in words."""
    return column(TEXT, "the facts behind the reason, in words")
