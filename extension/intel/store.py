"""Writes list files: whole or not at all, readable by everybody, writable by their owner only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from extension import private_file
from tables.indicators.pool_lists import Indicator, ListHeader
from tables.schema import clean_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODE = 0o644


def is_list_name(name: str) -> bool:
    """Whether a list may have this name, which becomes a file name."""
    return _NAME.fullmatch(name) is not None


def render(header: ListHeader, indicators: Iterable[Indicator], notes: Optional[Mapping[Indicator, str]] = None) -> str:
    """The text of a list; `notes` are the comments behind some of its entries."""
    lines = [f"# {key}: {clean_text(value).strip()[:500]}" for key, value in header._asdict().items() if value]
    lines.append("")
    for indicator in indicators:
        note = notes.get(indicator) if notes else None
        lines.append(f"{indicator}  # {note}" if note else str(indicator))
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0644, creating the folder; a reader sees the former file or the new one, whole.

    Raises OSError when that fails. The name of the temporary file begins with a dot: such files are no lists in force.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    private_file.write(path, text, _MODE)
