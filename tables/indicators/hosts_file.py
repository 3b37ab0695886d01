"""Lines of /etc/hosts that keep the host from its updates and its protection: protected_hosts.yaml as a question."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from tables.indicators.loader import load_yaml

_MAX_LINE = 4096


class BlockedName(NamedTuple):
    """A protected name that a line leads to nowhere."""

    name: str
    address: str
    line: int


@functools.lru_cache(maxsize=1)
def protected_domains() -> frozenset[str]:
    """The domains of protected_hosts.yaml."""
    return frozenset(name for entry in load_yaml("protected_hosts.yaml")["domains"] for name in entry["names"])


def blocked_names(text: str) -> Iterator[BlockedName]:
    """Yield the protected names that the hosts file `text` leads to 0.0.0.0, :: or a loopback address (hosts(5))."""
    domains = protected_domains()
    for number, line in enumerate(text.split("\n"), 1):
        fields = line[:_MAX_LINE].partition("#")[0].split()
        if len(fields) < 2 or not _leads_nowhere(fields[0]):
            continue
        for name in fields[1:]:
            parts = name.lower().rstrip(".").split(".")
            if any(".".join(parts[index:]) in domains for index in range(len(parts))):
                yield BlockedName(name, fields[0], number)


def _leads_nowhere(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified
