"""Rows of texts as a table for a terminal, or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tables.schema import clean_text


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows below a header of the first one's names, no text of them a formula; "" when there is none."""
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: as_cell(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue()


def as_cell(text: str) -> str:
    """A text as a cell of a spreadsheet, which would take some for the beginning of a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_grid(rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as a table, without what steers a terminal."""
    if not rows:
        return "no rows\n"
    grid = Table(box=None, pad_edge=False)
    for name in rows[0]:
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean_text(value)) for value in row.values()))
    console = Console(file=io.StringIO(), highlight=False, width=Console().width)
    console.print(grid)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return text
