"""What of a list there is room for in a report, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def left_out(count: int) -> str:
    """`+N` for so many that are not listed, "" for none."""
    return f"+{count:,}" if count > 0 else ""


def some(texts: Iterable[str], most: int) -> list[str]:
    """So many of the texts, and behind them how many more there are."""
    listed = list(texts)
    return [*listed[:most], *filter(None, [left_out(len(listed) - most)])]


def in_line(texts: Sequence[str], most: int, between: str) -> str:
    """The same in a line."""
    return f"{between.join(texts[:most])} {left_out(len(texts) - most)}".rstrip()
