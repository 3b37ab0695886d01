"""Rows of texts as a table for a terminal, or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Optional

from tables.schema import clean_text

# What a word gets at most before other columns have what they need.
_WORD = 30
_GAP = 2


class Row(dict[str, str]):
    """A row with all its columns; `brief` has those that a table for people has, shortened."""

    def __init__(self, whole: Mapping[str, str], brief: Mapping[str, str]) -> None:
        super().__init__(whole)
        self.brief = brief


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
    """The rows as a table, without what steers a terminal; of rows that have it, what is brief."""
    if not rows:
        return "no rows\n"
    # Every command has this module, and few draw a table.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    told = [row.brief if isinstance(row, Row) else row for row in rows]
    names, cells = list(told[0]), [[clean_text(value) for value in row.values()] for row in told]
    console = Console(file=io.StringIO(), highlight=False, width=Console().width)
    grid = Table(box=None, pad_edge=False)
    for name, width in zip(names, _widths(names, cells, console.width)):
        grid.add_column(name, overflow="fold", width=width)
    for texts in cells:
        grid.add_row(*map(Text, texts))
    console.print(grid)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO given above
    return text


def _widths(names: Sequence[str], cells: Sequence[Sequence[str]], most: int) -> Sequence[Optional[int]]:
    """The columns' widths: whole headers, whole words as far as there is room, and the rest where most lines would be.

    None for each where the headers alone are wider than `most`.
    """
    from rich.cells import cell_len

    headers = list(map(cell_len, names))
    columns = list(zip(*cells))
    whole = [max(header, *map(cell_len, texts)) for header, texts in zip(headers, columns)]
    room = most - _GAP * (len(names) - 1)
    if sum(whole) <= room:
        return whole
    if sum(headers) > room:
        return [None] * len(names)
    words = (max((cell_len(word) for text in texts for word in text.split()), default=0) for texts in columns)
    widths = [max(header, min(word, _WORD)) for header, word in zip(headers, words)]
    numbers = range(len(names))
    while sum(widths) > room:
        widths[max((n for n in numbers if widths[n] > headers[n]), key=lambda n: widths[n])] -= 1
    while sum(widths) < room:
        widths[max((n for n in numbers if widths[n] < whole[n]), key=lambda n: whole[n] / widths[n])] += 1
    return widths
