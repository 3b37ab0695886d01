"""Who logged in from which host of the fleet to which: the logins that osquery's wtmp has, and the hosts' own addresses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import ADDRESSES
from extension.fleet.hosts import NAMELESS, short_name
from extension.fleet.reading import LAST_TIME
from tables.host.logins.log import plain_address
from tables.indicators.networks import is_local, parse_address
from tables.schema import whole_number

# An address that more hosts have is of no site's network: a bridge of containers', or a laptop's at home.
_SITES = 4
_SUCCESSES = ("first_success", "last_success")
# A host's addresses are looked at four times a day; of a week's looks the first and last may be all that is read (seconds).
_LOOKED = 86400
_ALWAYS = (0, LAST_TIME)
# By address or name: the hosts, each with when it was first and last seen to have it (unix seconds).
Owners = dict[str, dict[str, tuple[int, int]]]


class Login(NamedTuple):
    """One login over the network between two hosts of the fleet, by their keys; time in unix seconds."""

    source: str
    to: str
    username: str
    time: int


class Asked(NamedTuple):
    """What the engine was asked of logins: all of them (_told), and what waits for who had each address and goes by each name."""

    told: ir.Table
    owners: Callable[[], Owners]


def ask_logins(ground: Ground) -> Asked:
    """Begin to look for logins and for the hosts' addresses; sites may use the same private ones."""
    connections = ground.rows.filter((_.query == "tcp_connections") & (_.local_address != ""))
    rows = connections.select("query", "row_key", "local_address")
    told = ground.results.join(rows, ["query", "row_key"]).group_by("host", "local_address")
    asked = ground.engine.ask(told.agg(first=_.unix_time.min(), last=_.unix_time.max()))
    return Asked(ground.engine.keep("told_logins", _told(ground)), lambda: _owned(ground, asked()))


def _owned(ground: Ground, rows: Iterable[Mapping[str, Any]]) -> Owners:
    owners: Owners = defaultdict(dict)
    for row in rows:
        address = _reached_by(row["local_address"])
        if address:
            # Sockets of both families are of one address.
            first, last = owners[address].get(row["host"], (row["first"], row["last"]))
            owners[address][row["host"]] = min(first, row["first"]), max(last, row["last"])
    for host in ground.hosts.values():
        for told in filter(None, map(host.decorations.get, ADDRESSES)):
            address = _reached_by(told)
            if address:
                owners[address].setdefault(host.key, (host.last, host.last))
        # Where sshd looks up names, wtmp has those.
        for name in host.names:
            if short_name(name) not in NAMELESS:
                for called in (name.lower(), short_name(name)):
                    owners[called][host.key] = _ALWAYS
    return owners


def _reached_by(text: str) -> Optional[str]:
    """The address, as it is compared, by which others reach a host; None for a name and for one that leads nowhere else."""
    address = plain(text)
    try:
        return None if is_local(parse_address(address)) else address
    except ValueError:
        return None


def plain(address: str) -> str:
    """An address or name as it is compared: sockets of both families say ::ffff:192.0.2.1."""
    return (plain_address(address) or address).lower()


def logins(ground: Ground, hosts: Iterable[str], asked: Asked) -> tuple[list[Login], list[Login]]:
    """The logins from and to these hosts: from another host of the fleet, and from elsewhere (source is the address).

    Of an address that several hosts had it was the one that had it then, or the one among `hosts` of those; else nobody knows.

    Times are by the fleet's clock, as far as that of the host logged in to is known.
    """
    ours, known = set(hosts), asked.owners()
    from_them = [
        (form,) for address, keys in sorted(known.items()) if not ours.isdisjoint(keys) for form in (address, f"::ffff:{address}")
    ]
    sources = ground.engine.take("login_sources", {"remote": "string"}, from_them)
    targets = ground.engine.take("login_targets", {"host": "string"}, [(key,) for key in sorted(ours)])
    chosen = asked.told.mutate(short=_.remote.lower().re_extract(r"^[^.]+", 0))
    named = chosen.semi_join(sources.rename(short="remote"), "short")
    near = ibis.union(chosen.semi_join(sources, "remote"), named, chosen.semi_join(targets, "host"), distinct=True)
    inside: set[Login] = set()
    outside: set[Login] = set()
    for row in ground.engine.fetch(near):
        time = _time(ground, row)
        owners = _owners(ground, known, plain(row["remote"]), time)
        likely = owners if len(owners) == 1 else owners & ours if len(owners) <= _SITES else set()
        if row["host"] in owners or (owners and len(likely) != 1):
            continue
        source = next(iter(likely), plain(row["remote"]))
        (inside if likely else outside).add(Login(source, row["host"], row["username"], time))
    return sorted(inside, key=lambda login: (login.time, login)), sorted(outside, key=lambda login: (login.time, login))


def visits(ground: Ground, addresses: Iterable[str], asked: Asked) -> list[Login]:
    """The logins from these addresses to any host."""
    forms = [(form,) for address in sorted(addresses) for form in (address, f"::ffff:{address}")]
    if not forms:
        return []
    rows = ground.engine.fetch(asked.told.semi_join(ground.engine.take("visited_from", {"remote": "string"}, forms), "remote"))
    return sorted(Login(plain(row["remote"]), row["host"], row["username"], _time(ground, row)) for row in rows)


def _time(ground: Ground, row: Mapping[str, Any]) -> int:
    """When a login was, by the fleet's clock; 0 where that is not known."""
    time = whole_number(row["logged_in_at"]) or 0
    return max(0, time - ground.hosts[row["host"]].clock_ahead) if 0 < time <= LAST_TIME else 0


def _owners(ground: Ground, known: Owners, remote: str, time: int) -> set[str]:
    """The hosts that had an address or go by a name, at that time if any of them is known to."""
    owners = known.get(remote)
    if owners is None:
        # A full name is of a host that is only ever called by its short one; the first part of an address is no name.
        called = known.get(short_name(remote), ())
        return {key for key in called if all("." not in name for name in ground.hosts[key].names)}
    then = {key for key, (first, last) in owners.items() if first - _LOOKED <= time <= last + _LOOKED}
    return then or set(owners)


def _told(ground: Ground) -> ir.Table:
    """(host, remote, username, logged_in_at) of wtmp's logins, and of those that the log of failed ones has beside them.

    Newer distributions have no wtmp. Both hold the newest, so that all that was ever told of them is true.
    """
    ever = ground.results.filter(_.query.isin(["logins", "login_failures"]) & _.row_key.notnull())
    rows = with_rows(
        ground, ever.select("host", "query", "row_key").distinct(),
        "remote", "remote_address", "username", "logged_in_at", *_SUCCESSES,
    )  # fmt: skip
    parts = [
        rows.filter((rows.query == "logins") & (rows.remote != "")).select("host", "remote", "username", "logged_in_at"),
        *(
            rows.filter((rows.query == "login_failures") & (rows.remote_address != "") & ~rows[time].isin(["", "0"])).select(
                "host", "username", remote=rows.remote_address, logged_in_at=rows[time]
            )
            for time in _SUCCESSES
        ),
    ]
    return ibis.union(*(part.select("host", "remote", "username", "logged_in_at") for part in parts), distinct=True)
