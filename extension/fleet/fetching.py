"""From which bare addresses what stands in findings fetches: those who run a site give their own servers names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from extension.incidents import Finding
from extension.incidents.things import ADDRESS
from extension.pack.parts import GRAVE

# What a site gives to its own: RFC 1918, 6598 and 4193.
_INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_NETWORKS = tuple(map(ipaddress.ip_network, _INTERNAL))
_STAGES = ("persistence", "entry")


def fetched_from(finding: Finding) -> Iterator[str]:
    """The addresses, no names and none of a site's own networks, in the command of a grave finding of entry or persistence."""
    command = finding.row.get("command") or finding.row.get("cmdline", "")
    if command and finding.query.severity in GRAVE and finding.stage in _STAGES:
        for thing in finding.strong_things:
            if thing.kind == ADDRESS and thing.value in command and _is_outside(thing.value):
                yield thing.value


def _is_outside(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not any(found in network for network in _NETWORKS)
