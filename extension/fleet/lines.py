"""Reads a file line by line in Python where the engine cannot: other forms than osquery's own, broken lines, cut archives.

It is the slower way, taken only for files that need it, and the one that says which line is broken and why.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Callable, cast

from extension.fleet.forms import Record, records
from extension.fleet.sources import DOCUMENT, Problem, Source

# One line, or one JSON document, larger than this is no result of osquery (its own logger drops lines over 1 MiB).
MAX_LINE = 64 * 1024 * 1024
_NAMED = 20
_PREFIX = 512
_SURROGATE = re.compile("[\ud800-\udfff]")
_CHUNK = 1024 * 1024


@dataclass
class Reading:
    """What came of one file: lines read, results in them, lines broken, and the first twenty of those by file:line."""

    lines: int = 0
    results: int = 0
    broken: int = 0
    problems: list[Problem] = field(default_factory=list)

    def fault(self, place: str, why: str) -> None:
        """Count a broken line, and name it while few are named."""
        self.broken += 1
        if len(self.problems) < _NAMED:
            self.problems.append(Problem(place, why))


def rewrite(source: Source, output: IO[bytes], reading: Reading) -> None:
    """Write every result in the file to `output`, one osquery line each; what is broken is counted in `reading`."""
    if source.form == DOCUMENT:
        _document(source, output, reading)
        return
    number = 0
    try:
        for number, line in enumerate(_lines(source), 1):
            if not line.strip():
                continue
            reading.lines += 1
            if len(line) >= MAX_LINE:
                reading.fault(f"{source.path}:{number}", f"longer than {MAX_LINE >> 20} MiB")
                continue
            for why in _write(line, output, reading):
                reading.fault(f"{source.path}:{number}", why)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reading.fault(f"{source.path}:{number + 1}", f"the file ends here: {_reason(error)}")


def _document(source: Source, output: IO[bytes], reading: Reading) -> None:
    reading.lines += 1
    try:
        with _opened(source) as file:
            data = file.read(MAX_LINE + 1)
        if len(data) > MAX_LINE:
            reading.fault(f"{source.path}:1", f"one JSON document larger than {MAX_LINE >> 20} MiB")
            return
        for why in _write(data, output, reading):
            reading.fault(f"{source.path}:1", why)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reading.fault(f"{source.path}:1", _reason(error))


def _write(text: bytes, output: IO[bytes], reading: Reading) -> Iterator[str]:
    """Write the records in one line, yielding what is wrong with it; several JSON values may stand in one line (Firehose)."""
    decoded = text.decode("utf-8", "replace").strip().strip("\x00\x1e\ufeff").strip()
    # Fluentd and syslog write when it was and of what before it.
    before = decoded[:_PREFIX].find("{")
    position, found = before if before > 0 and decoded[0] not in '["' else 0, False
    while position < len(decoded):
        try:
            value, position = _DECODER.raw_decode(decoded, position)
        except (ValueError, RecursionError) as error:
            yield f"not JSON: {getattr(error, 'msg', error)}"
            return
        while position < len(decoded) and decoded[position] in " \t\r\n,\x00\x1e":
            position += 1
        for record in records(value):
            found = True
            reading.results += 1
            output.write(_line(record) + b"\n")
        if not found and not _is_status(value):
            yield "JSON, but no result of osquery"
            return


_DECODER = json.JSONDecoder(parse_constant=lambda name: name)


def _line(record: Record) -> bytes:
    """The record as one line of JSON; halves of surrogate pairs, which UTF-8 has not, as clean_text spells them."""
    text = json.dumps(record, ensure_ascii=False, default=str, separators=(",", ":"))
    return _SURROGATE.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text).encode()


def _is_status(value: Any) -> bool:
    """A line of osqueryd's status log, which says nothing about the host's state."""
    return isinstance(value, dict) and "severity" in value and "message" in value


def _lines(source: Source) -> Iterator[bytes]:
    with _opened(source) as file:
        while line := file.readline(MAX_LINE):
            yield line
            # The rest of a line that is too long is dropped with it.
            while len(line) >= MAX_LINE and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
                if not line:
                    return


def _opened(source: Source) -> IO[bytes]:
    if source.packed == "gzip":
        return cast(IO[bytes], gzip.open(source.path))
    if source.packed == "zstd":
        from pyarrow import CompressedInputStream, OSFile

        stream: Callable[[Any], IO[bytes]] = io.BufferedReader
        return stream(_Readable(CompressedInputStream(OSFile(source.path), "zstd")))
    return Path(source.path).open("rb")


class _Readable(io.RawIOBase):
    """pyarrow's stream as Python's io has them, so that it has readline."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), _CHUNK))
        buffer[: len(data)] = data
        return len(data)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
