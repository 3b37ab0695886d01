"""When the logs end, and whose clock can be believed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from extension.fleet.hosts import Host

_DAY = 86400
# A clock that is so much ahead of everybody's is wrong.
AHEAD = 7200
# Among fewer hosts one that is ahead may be the only one that still speaks.
_FEW = 20
# Of so few hosts nobody knows when the others began.
_LEAST_SHIFTED = 4


def fleet_now(hosts: Iterable[Host], wall_clock: float) -> int:
    """The moment at which the logs end: when the last hosts spoke, but for those whose clocks are or may be ahead."""
    everybody = list(hosts)
    shifted = {host.key for host, _shift in _shifted(everybody)}
    times = sorted(host.last for host in everybody if host.key not in shifted)
    believable = [time for time in times if time <= wall_clock + _DAY]
    times = believable if len(believable) * 2 >= len(times) else times
    if not times:
        return int(wall_clock)
    return times[-1] if len(times) < _FEW else times[-1 - max(1, len(times) // 50)]


def _shifted(hosts: Sequence[Host]) -> list[tuple[Host, int]]:
    """Hosts whose first and last lines are off from most others' by the same, and by how much (seconds): clocks that are wrong.

    Only where most hosts are in the logs from one moment on does the first line tell anything.
    """
    if len(hosts) < _LEAST_SHIFTED:
        return []
    first, last = (sorted(times)[len(hosts) // 2] for times in ([h.first for h in hosts], [h.last for h in hosts]))
    usual = sum(abs(host.first - first) <= AHEAD for host in hosts)
    if usual * 4 < len(hosts) * 3:
        return []
    off = [(host, host.first - first, host.last - last) for host in hosts]
    return [(host, end) for host, start, end in off if min(abs(start), abs(end)) > AHEAD and abs(end - start) <= AHEAD]


def mark_clocks(hosts: Sequence[Host], now: int, usual_gap: int, set_back: Collection[str] = ()) -> list[Host]:
    """Note by how much clocks are off the fleet's, and return those that were set by more than the logs are long, or set back.

    The lines of these are in the order of their counters, not of their times. `usual_gap`: how long hosts are silent for anyway;
    `set_back`: the keys of hosts whose counters went up while their clocks went back.
    """
    ahead = max(AHEAD, usual_gap)
    firsts = sorted(host.first for host in hosts)
    span = max(now - firsts[len(firsts) // 50], 0) if firsts else 0
    shifted = {host.key: shift for host, shift in _shifted(hosts)}
    jumping = []
    for host in hosts:
        if host.last > now + ahead:
            host.clock_ahead = host.last - now
            host.notes.append("clock_ahead")
        elif shifted.get(host.key, 0) < 0:
            host.clock_ahead = shifted[host.key]
            host.notes.append("clock_behind")
        is_long = host.last - host.first > span + ahead and (host.clock_ahead > 0 or host.first < now - 2 * span - ahead)
        if is_long or host.key in set_back:
            host.notes.append("clock_changed")
            jumping.append(host)
    return jumping
