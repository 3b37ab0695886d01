"""What earlier answers of a table held, for the answers that a bound cuts short.

osquery logs as removed whatever a later answer lacks, so a cut answer would report as gone what it merely did not reach, and to
fail instead would hide what it found. So a cut answer also gives the rows of the answer before about which it says nothing: until
a whole answer comes, a row's process is no more, or a day has passed. Nothing of this outlives the extension; the first answer
after its start has nothing to be completed with.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import OrderedDict
from typing import Optional

from tables.host import Host
from tables.schema import Table, WireRow

# Of a row that no answer has held for so long, nothing is known any more.
_KEPT_SECONDS = 24 * 3600.0
_MAX_ROWS = 20_000
# A JOIN asks thousands of questions; and what all tables together keep is bounded by what one may.
_MAX_QUESTIONS = 16
_MAX_BYTES = 2 << 20
# What a row is about, as far as a table has these columns; two rows about one thing are one row that has changed.
_SUBJECT = ("pid", "start_time", "path", "line", "command", "remote_address", "remote_port", "username", "fingerprint")


class KeptRows:
    """The last answers of one table, packed, by question."""

    def __init__(self, table: Table, host: Host) -> None:
        self._host = host
        self._columns = tuple(name for name in _SUBJECT if name in {column.name for column in table.columns})
        self._packed: OrderedDict[str, bytes] = OrderedDict()

    def complete(self, question: str, rows: list[WireRow], is_cut: bool, now: Optional[float] = None) -> list[WireRow]:
        """`rows` of a whole answer as they are; of a cut one, with those of earlier answers that it did not reach."""
        now = time.monotonic() if now is None else now
        seen: list[tuple[float, WireRow]] = [(now, row) for row in rows]
        if is_cut and question in self._packed:
            reached = {self._subject(row) for row in rows}
            seen += [
                (moment, row)
                for moment, row in json.loads(zlib.decompress(self._packed[question]))
                if now - moment < _KEPT_SECONDS and self._subject(row) not in reached and self._may_be_there(row)
            ]
        self._keep(question, seen)
        return [row for _, row in seen]

    def _subject(self, row: WireRow) -> tuple[Optional[str], ...]:
        if not self._columns:
            return tuple(item for pair in sorted(row.items()) for item in pair)
        return tuple(row.get(name) for name in self._columns)

    def _may_be_there(self, row: WireRow) -> bool:
        pid, start = row.get("pid", ""), row.get("start_time", "")
        if not (pid.isdigit() and start.isdigit() and self._host.is_live):
            return True
        process = self._host.truth.process(int(pid))
        # The clock's second may be rounded otherwise.
        return process is not None and abs(process.start_time - int(start)) <= 1

    def _keep(self, question: str, seen: list[tuple[float, WireRow]]) -> None:
        self._packed.pop(question, None)
        if not 0 < len(seen) <= _MAX_ROWS:
            return
        self._packed[question] = zlib.compress(json.dumps(seen).encode(), 1)
        while len(self._packed) > _MAX_QUESTIONS or sum(map(len, self._packed.values())) > _MAX_BYTES:
            self._packed.popitem(last=False)
