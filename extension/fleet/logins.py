"""Who logged in from which host of the fleet to which: the logins that osquery's wtmp has, and the hosts' own addresses."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.columns import ADDRESSES
from extension.fleet.hosts import NAMELESS, short_name
from extension.fleet.reading import LAST_TIME
from tables.host.logins.log import plain_address
from tables.schema import whole_number

# An address that more hosts have is of no site's network: a bridge of containers', or a laptop's at home.
_SITES = 4
_SUCCESSES = ("first_success", "last_success")


class Login(NamedTuple):
    """One login over the network between two hosts of the fleet, by their keys; time in unix seconds."""

    source: str
    to: str
    username: str
    time: int


def addresses(ground: Ground) -> dict[str, set[str]]:
    """The hosts that call each address, and each name of their own, theirs; sites may use the same private ones."""
    rows = with_rows(ground, ground.state.filter(_.query == "tcp_connections"), "local_address").filter(_.local_address != "")
    owners: dict[str, set[str]] = defaultdict(set)
    for row in ground.engine.fetch(rows.select("host", "local_address").distinct()):
        if is_own(row["local_address"]):
            owners[plain(row["local_address"])].add(row["host"])
    for host in ground.hosts.values():
        for name in ADDRESSES:
            address = host.decorations.get(name)
            if address and is_own(address):
                owners[plain(address)].add(host.key)
        # Where sshd looks up names, wtmp has those.
        for name in host.names:
            short = short_name(name)
            for called in {name.lower(), short} if short not in NAMELESS else ():
                owners[called].add(host.key)
    return owners


def is_own(text: str) -> bool:
    """Whether the text is an address that a host can be reached by."""
    try:
        address = ipaddress.ip_address(plain(text))
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def plain(address: str) -> str:
    """An address or name as it is compared: sockets of both families say ::ffff:192.0.2.1."""
    return (plain_address(address) or address).lower()


def logins(ground: Ground, hosts: Iterable[str], known: Mapping[str, set[str]]) -> tuple[list[Login], list[Login]]:
    """The logins from and to these hosts: from another host of the fleet, and from elsewhere (source is the address).

    Of an address that several hosts have it was the one among `hosts`, where there is one; else nobody knows.

    Times are by the fleet's clock, as far as that of the host logged in to is known.
    """
    ours = set(hosts)
    from_them = [
        (form,) for address, keys in sorted(known.items()) if not ours.isdisjoint(keys) for form in (address, f"::ffff:{address}")
    ]
    sources = ground.engine.take("login_sources", {"remote": "string"}, from_them)
    targets = ground.engine.take("login_targets", {"host": "string"}, [(key,) for key in sorted(ours)])
    chosen = _told(ground)
    near = chosen.semi_join(sources, "remote").union(chosen.semi_join(targets, "host"), distinct=True)
    inside: set[Login] = set()
    outside: set[Login] = set()
    for row in ground.engine.fetch(near):
        owners = known.get(plain(row["remote"]), set())
        likely = owners if len(owners) == 1 else owners & ours if len(owners) <= _SITES else set()
        time = whole_number(row["logged_in_at"]) or 0
        time = time if 0 <= time <= LAST_TIME else 0
        if row["host"] in owners or (owners and len(likely) != 1):
            continue
        time = max(0, time - ground.hosts[row["host"]].clock_ahead) if time else 0
        source = next(iter(likely), plain(row["remote"]))
        (inside if likely else outside).add(Login(source, row["host"], row["username"], time))
    return sorted(inside, key=lambda login: (login.time, login)), sorted(outside, key=lambda login: (login.time, login))


def _told(ground: Ground) -> ir.Table:
    """(host, remote, username, logged_in_at) of wtmp's logins, and of those that the log of failed ones has beside them.

    Newer distributions have no wtmp.
    """
    rows = with_rows(
        ground, ground.state.filter(_.query.isin(["logins", "login_failures"])),
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
