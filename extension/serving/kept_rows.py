"""What earlier answers of a table held, for the answers that a bound cuts short.

osquery logs as removed whatever a later answer lacks, so a cut answer would report as gone what it merely did not reach, and to
fail instead would hide what it found. So a cut answer also gives the rows of the answer before about which it says nothing: until
a whole answer comes, a row's process is no more, or a day has passed. Nothing of this outlives the extension; the first answer
after its start has nothing to be completed with.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple, Optional

from extension.serving.packed_rows import PackedRows
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


class _Layer(NamedTuple):
    """Rows of one answer, and when it was made."""

    moment: float
    packed: PackedRows


class KeptRows:
    """The last answers of one table, by question."""

    def __init__(self, table: Table, host: Host) -> None:
        self._host = host
        self._columns = tuple(name for name in _SUBJECT if name in {column.name for column in table.columns})
        self._kept: OrderedDict[str, list[_Layer]] = OrderedDict()

    def complete(
        self, question: str, rows: list[WireRow], packed: PackedRows, is_cut: bool, now: Optional[float] = None
    ) -> list[WireRow]:
        """What a cut answer lacks of earlier ones: their rows that it did not reach; nothing for a whole answer.

        `packed` are the same rows; they are kept as they are.
        """
        now = time.monotonic() if now is None else now
        layers, lacking = [_Layer(now, packed)], []
        if is_cut:
            reached = {self._subject(row) for row in rows}
            for layer in self._kept.get(question, ()):
                left = self._not_reached(layer, reached, now)
                lacking += left
                layers += [_Layer(layer.moment, PackedRows(left))] if left else []
        self._keep(question, layers)
        return lacking

    def _not_reached(self, layer: _Layer, reached: set[tuple[Optional[str], ...]], now: float) -> list[WireRow]:
        if now - layer.moment >= _KEPT_SECONDS:
            return []
        return [row for row in layer.packed.rows() if self._subject(row) not in reached and self._may_be_there(row)]

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

    def _keep(self, question: str, layers: list[_Layer]) -> None:
        self._kept.pop(question, None)
        if not 0 < sum(layer.packed.count for layer in layers) <= _MAX_ROWS:
            return
        self._kept[question] = layers
        while len(self._kept) > _MAX_QUESTIONS or self._size() > _MAX_BYTES:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(layer.packed.size for layers in self._kept.values() for layer in layers)
