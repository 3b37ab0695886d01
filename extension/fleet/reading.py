"""How DuckDB is told which files to read: in batches, as tables of osquery's own keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional

from extension.fleet.sources import PARQUET, Problem, Source

_BATCH = 256 * 1024 * 1024
# Packed, so many bytes of log are about one batch.
_PACKING = 12
TEXT = ("name", "hostIdentifier", "unixTime", "calendarTime", "epoch", "counter", "action")
JSON = ("columns", "decorations", "snapshot", "diffResults")
_COLUMNS = "{" + ", ".join([f"'{name}': 'VARCHAR'" for name in TEXT] + [f"'{name}': 'JSON'" for name in JSON]) + "}"
_CALENDAR = "epoch(try_strptime(replace(calendarTime, ' UTC', ''), '%a %b %d %H:%M:%S %Y'))::BIGINT"
TIME = f"""CASE WHEN try_cast(unixTime AS BIGINT) IS NOT NULL THEN unixTime::BIGINT
    ELSE coalesce(try_cast(unixTime AS DOUBLE)::BIGINT, {_CALENDAR}, 0) END"""


@dataclass
class Loaded:
    """What was read: files, lines, and how many of those were broken, with the first of them by name."""

    files: int = 0
    lines: int = 0
    broken: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)


def reader(batch: Sequence[Source]) -> str:
    """The table function that reads files of lines, packed in one way."""
    packed = batch[0].packed or "uncompressed"
    return (
        f"read_json({paths(batch)}, format = 'newline_delimited', columns = {_COLUMNS}, ignore_errors = true, filename = true, "
        f"compression = '{packed}')"
    )


def paths(batch: Sequence[Source]) -> str:
    """The files of a batch as a list in SQL."""
    return "[" + ", ".join(quoted(source.path) for source in batch) + "]"


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def batches(sources: Iterable[Source]) -> Iterable[list[Source]]:
    """Files of one form together, so many that a batch fits into memory."""
    batch: list[Source] = []
    size = 0
    key: Optional[tuple[str, str]] = None
    for source in sorted(sources, key=lambda each: (each.form, each.packed)):
        weight = source.size * (_PACKING if source.packed or source.form == PARQUET else 1)
        if batch and (key != (source.form, source.packed) or size + weight > _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += weight
        key = (source.form, source.packed)
    if batch:
        yield batch
