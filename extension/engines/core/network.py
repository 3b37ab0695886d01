"""osquery's tables about the network's configuration: interface addresses, /etc/hosts, name servers."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import Optional

import psutil

from extension.engines.core import CoreRow, core_table
from extension.engines.core.reading import Reader, split
from extension.engines.core.support import require_live
from tables.host import Host
from tables.schema import QueryContext

# resolv.h: RES_INIT, RES_RECURSE, RES_DEFNAMES and RES_DNSRCH are always set.
_DEFAULT_OPTIONS = 0x0000_02C1
_OPTIONS = {
    "rotate": 0x0000_4000, "edns0": 0x0010_0000, "single-request": 0x0020_0000, "single-request-reopen": 0x0040_0000,
    "no-tld-query": 0x0100_0000, "no_tld_query": 0x0100_0000, "no-reload": 0x0200_0000, "use-vc": 0x0000_0008,
    "trust-ad": 0x0400_0000, "no-aaaa": 0x0800_0000,
}  # fmt: skip
_MAX_SERVERS = 3
_MAX_SEARCH = 6


@core_table("interface_addresses", needs_live=True)
def interface_addresses(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per IPv4 or IPv6 address of an interface; link-local ones carry their `%interface` (getifaddrs(3))."""
    require_live(host, "interface_addresses")
    for interface, addresses in psutil.net_if_addrs().items():
        for found in addresses:
            if found.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            row: CoreRow = {"interface": interface, "address": found.address, "type": "unknown"}
            row.update(mask=found.netmask, broadcast=found.broadcast, point_to_point=found.ptp)
            if found.family == socket.AF_INET and found.broadcast is None and found.ptp is None:
                # On an interface that is neither (loopback) getifaddrs names the address itself as the far end.
                row["point_to_point"] = found.address
            yield row


@core_table("etc_hosts")
def etc_hosts(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """One row per line of /etc/hosts, its names joined by spaces."""
    for address, names in parse_hosts(Reader(host, "etc_hosts", query).text("/etc/hosts", expected=True)):
        yield {"address": address, "hostnames": " ".join(names) if names is not None else None}


def parse_hosts(text: str) -> Iterator[tuple[str, Optional[list[str]]]]:
    """Yield (address, names) of each line of a hosts(5) file; None for the names of a line that has only an address."""
    for line in text.split("\n"):
        words = split(line, "\t ")
        if words and not words[0].startswith("#"):
            ends = [index for index, word in enumerate(words) if word.startswith("#")]
            yield words[0], words[1 : ends[0] if ends else None] if len(words) > 1 else None


@core_table("dns_resolvers")
def dns_resolvers(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The name servers and search domains that the C library takes from resolv.conf(5), numbered from 0 each.

    The address of an IPv6 server is empty, as in osquery; `sortlist` lines are left out.
    """
    text = Reader(host, "dns_resolvers", query).text("/etc/resolv.conf")
    yield from parse_resolv_conf(text, os.uname().nodename if host.is_live else "")


def parse_resolv_conf(text: str, hostname: str) -> Iterator[CoreRow]:
    """Yield the rows of dns_resolvers from a resolv.conf(5); without a search list the domain of `hostname` is searched."""
    servers: list[str] = []
    search = [hostname.partition(".")[2]]
    options = _DEFAULT_OPTIONS
    for line in text.split("\n"):
        words = re.split(r"[ \t]+", line.rstrip())
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            address = _server(words[1])
            if address is not None:
                servers.append(address)
        elif words[0] in ("search", "domain"):
            search = words[1:] if words[0] == "search" else words[1:2]
        elif words[0] == "options":
            for word in words[1:]:
                options |= _OPTIONS.get(word, 0)
    for number, address in enumerate((servers or ["127.0.0.1"])[:_MAX_SERVERS]):
        yield {"id": number, "type": "nameserver", "address": address, "netmask": "32", "options": options}
    for number, domain in enumerate(list(filter(None, search))[:_MAX_SEARCH]):
        yield {"id": number, "type": "search", "address": domain, "options": options}


def _server(text: str) -> Optional[str]:
    """The IPv4 address, "" for an IPv6 one, None for neither."""
    try:
        return socket.inet_ntoa(socket.inet_aton(text))
    except (OSError, ValueError):
        pass
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return ""
