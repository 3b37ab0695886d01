"""Who logged in from which host of the fleet to which: the logins that osquery's wtmp has, and the hosts' own addresses."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ibis import _

from extension.fleet.answers import Ground, with_rows
from extension.fleet.reading import LAST_TIME
from tables.schema import whole_number


class Login(NamedTuple):
    """One login over the network between two hosts of the fleet, by their keys; time in unix seconds."""

    source: str
    to: str
    username: str
    time: int


def addresses(ground: Ground) -> dict[str, str]:
    """The host behind each address that exactly one host calls its own."""
    rows = with_rows(ground, ground.state.filter(_.query == "tcp_connections")).filter(_.local_address != "")
    owners: dict[str, set[str]] = defaultdict(set)
    for row in ground.engine.fetch(rows.select("host", "local_address").distinct()):
        if is_own(row["local_address"]):
            owners[row["local_address"]].add(row["host"])
    for host in ground.hosts.values():
        for name in ("ip", "ip_address", "primary_ip", "address"):
            if is_own(host.decorations.get(name, "")):
                owners[host.decorations[name]].add(host.key)
    return {address: next(iter(keys)) for address, keys in owners.items() if len(keys) == 1}


def is_own(text: str) -> bool:
    """Whether the text is an address that a host can be reached by."""
    # Most hosts' decorations have none.
    if not text:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def logins(ground: Ground, hosts: Iterable[str], known: dict[str, str]) -> tuple[list[Login], list[Login]]:
    """The logins from and to these hosts: from another host of the fleet, and from elsewhere (source is the address)."""
    ours = set(hosts)
    from_them = [(address,) for address, key in sorted(known.items()) if key in ours]
    sources = ground.engine.take("login_sources", {"remote": "string"}, from_them)
    targets = ground.engine.take("login_targets", {"host": "string"}, [(key,) for key in sorted(ours)])
    rows = with_rows(ground, ground.state.filter(_.query == "logins")).filter(_.remote != "")
    chosen = rows.select("host", "remote", "username", "logged_in_at")
    near = chosen.semi_join(sources, "remote").union(chosen.semi_join(targets, "host"), distinct=True)
    inside: list[Login] = []
    outside: list[Login] = []
    for row in ground.engine.fetch(near):
        source = known.get(row["remote"])
        time = whole_number(row["logged_in_at"]) or 0
        time = time if 0 <= time <= LAST_TIME else 0
        if source == row["host"]:
            continue
        (inside if source else outside).append(Login(source or row["remote"], row["host"], row["username"], time))
    return sorted(inside, key=lambda login: (login.time, login)), sorted(outside, key=lambda login: (login.time, login))
