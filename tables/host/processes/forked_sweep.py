"""The sweep over all pids in several processes side by side, for a triage, whose reader waits for it."""

from __future__ import annotations

import json
from typing import Optional

from tables.host.forked import Forked, receive_message, send_message
from tables.host.processes.pidspace import Swept, sweep


def forked_sweep(first: int, last: int, seconds: float, processes: int) -> Swept:
    """As pidspace.sweep, each process asking for its part of the pids; a part that no process answers for is asked here.

    Our own processes are not among what answered.
    """
    size = -(-(last - first + 1) // processes)
    parts = [(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]
    sweepers = [_begin(*part, seconds) for part in parts]
    found = Swept([], [], first - 1)
    for (start, end), sweeper in zip(parts, sweepers):
        part = (_result(sweeper) if sweeper else None) or sweep(start, end, seconds)
        # What answered beyond the first number that was not asked counts, and is asked again next time.
        asked = part.asked if found.asked == start - 1 else found.asked
        found = Swept(found.leaders + part.leaders, found.others + part.others, asked)
    ours = {sweeper.pid for sweeper in sweepers if sweeper}
    return found._replace(leaders=[pid for pid in found.leaders if pid not in ours])


def _begin(first: int, last: int, seconds: float) -> Optional[Forked]:
    """A process that sweeps this part; None where there can be none."""
    try:
        return Forked(lambda connection: send_message(connection, json.dumps(sweep(first, last, seconds)).encode()))
    except OSError:
        return None


def _result(sweeper: Forked) -> Optional[Swept]:
    """What it found, once it is done; None where it ended without a word."""
    try:
        body = receive_message(sweeper.connection)
    except OSError:
        body = None
    sweeper.end()
    return None if body is None else Swept(*json.loads(body))
