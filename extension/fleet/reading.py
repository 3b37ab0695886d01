"""How DuckDB is told which files to read: in batches, as tables of osquery's own keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Optional

from extension.fleet.columns import DECORATIONS
from extension.fleet.sources import PARQUET, Problem, Source

_BATCH = 2048 * 1024 * 1024
# Packed, so many bytes of log are about one batch.
_PACKING = 12
TEXT = ("name", "hostIdentifier", "unixTime", "calendarTime", "epoch", "counter", "action")
JSON = ("columns", "decorations", "snapshot", "diffResults")
NUMBERS = ("unixTime", "epoch", "counter")
_CALENDAR = "epoch(try_strptime(replace(calendarTime, ' UTC', ''), '%a %b %d %H:%M:%S %Y'))"
# The end of 2099: a clock beyond it is wrong, and said to be ahead.
LAST_TIME = 4102444800
_MOST_COUNTED = 2147483647


def seconds(number: str) -> str:
    """SQL for the unix seconds in a DOUBLE, 0 to LAST_TIME: pipelines also write milli-, micro- and nanoseconds."""
    unit = f"CASE WHEN {number} < 1e11 THEN 1e0 WHEN {number} < 1e14 THEN 1e3 WHEN {number} < 1e17 THEN 1e6 ELSE 1e9 END"
    whole = f"CAST(floor(greatest(0e0, least({number} / {unit}, {LAST_TIME}e0))) AS BIGINT)"
    return f"CASE WHEN {number} IS NOT NULL THEN {whole} END"


def counted(number: str) -> str:
    """SQL for a counter in a DOUBLE, within what can be reckoned with; one below 0 is never the 0 that begins a full set."""
    return f"CASE WHEN {number} < 0 THEN 1 WHEN {number} >= 0 THEN CAST(least({number}, {_MOST_COUNTED}e0) AS BIGINT) END"


# As osquery itself writes them.
PLAIN = {"unix_time": "unixTime", "epoch": "epoch", "counter": "counter"}
IS_PLAIN = f"unix_time BETWEEN 0 AND {LAST_TIME} AND epoch IS NOT NULL AND counter BETWEEN 0 AND {_MOST_COUNTED}"
# Whatever else stands there is reckoned with.
TIME = f"""CASE WHEN try_cast(unixTime AS BIGINT) BETWEEN 0 AND {LAST_TIME} THEN unixTime::BIGINT
    ELSE coalesce({seconds("try_cast(unixTime AS DOUBLE)")}, {seconds(_CALENDAR)}, 0) END"""
COUNTER = f"""CASE WHEN counter IS NULL THEN 0 WHEN try_cast(counter AS BIGINT) BETWEEN 0 AND {_MOST_COUNTED} THEN counter::BIGINT
    ELSE coalesce({counted("try_cast(counter AS DOUBLE)")}, 1) END"""
ANY = {"unix_time": TIME, "epoch": "coalesce(try_cast(epoch AS BIGINT), 0)", "counter": COUNTER}
# As --decorations_top_level writes them, beside osquery's own keys.
_TOP_LEVEL = f"""coalesce(decorations,
    json_merge_patch('{{}}', json_object({", ".join(f"'{name}', {name}" for name in DECORATIONS)})))"""
# What is of another shape holds no row.
ROWS = {
    "columns": "CASE WHEN columns LIKE '{%' THEN columns END",
    "snapshot": """CASE WHEN snapshot LIKE '[%' OR snapshot = '""' THEN snapshot END""",
    "diff": "CASE WHEN diffResults LIKE '{%' THEN diffResults END",
}


@dataclass
class Loaded:
    """What was read: files, lines, and how many of those were broken, with the first of them by name."""

    files: int = 0
    lines: int = 0
    broken: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)


def reader(batch: Sequence[Source], is_plain: bool = False, is_top_level: bool = False) -> str:
    """What reads files of lines, packed in one way; plain ones have whole numbers only, or NULL.

    `is_top_level`: where a line has no decorations they are looked for beside its other keys.
    """
    kinds = {name: "BIGINT" if is_plain and name in NUMBERS else "VARCHAR" for name in TEXT} | dict.fromkeys(JSON, "JSON")
    if is_top_level:
        kinds |= dict.fromkeys(DECORATIONS, "VARCHAR")
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items()) + "}"
    read = (
        f"read_json({paths(batch)}, format = 'newline_delimited', columns = {columns}, ignore_errors = true, "
        f"compression = '{_compression(batch[0])}')"
    )
    return f"(SELECT * REPLACE ({_TOP_LEVEL} AS decorations), file_index FROM {read})" if is_top_level else read  # noqa: S608


def _compression(source: Source) -> str:
    """What DuckDB is told of how a file is packed: nothing where the file's name says it."""
    named = {".gz": "gzip", ".zst": "zstd"}.get(source.path[source.path.rfind(".") :], "")
    return "auto_detect" if source.packed == named else source.packed or "uncompressed"


def paths(batch: Sequence[Source]) -> str:
    """The files of a batch as a list in SQL."""
    return "[" + ", ".join(quoted(source.path) for source in batch) + "]"


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def batches(sources: Iterable[Source]) -> Iterable[list[Source]]:
    """Files that one reader reads together, so many that a batch is not long to wait for."""
    batch: list[Source] = []
    size = 0
    key: Optional[tuple[str, str]] = None
    for source in sorted(sources, key=_reader):
        weight = source.size * (_PACKING if source.packed or source.form == PARQUET else 1)
        if batch and (key != _reader(source) or size + weight > _BATCH):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += weight
        key = _reader(source)
    if batch:
        yield batch


def _reader(source: Source) -> tuple[str, str]:
    return source.form, _compression(source)
