"""What the incidents of a host give others to hunt for: pools, control addresses, wallets, hashes, keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from extension.incidents import Finding, told
from extension.triage import Triage
from tables.indicators.networks import parse_address

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_PORT = re.compile(r"[0-9]{1,5}")


class Indicator(NamedTuple):
    """Something to hunt for: `kind` is ip, domain, sha256, wallet or key.

    `port` is that of a pool. `is_source` tells that somebody came from there, rather than that the host went there.
    """

    kind: str
    value: str
    port: Optional[int]
    is_source: bool
    note: str


def indicators(triage: Triage) -> list[Indicator]:
    """Those of the incidents that are a compromise, each once, in the order of the chain."""
    found: dict[tuple[str, str, Optional[int]], Indicator] = {}
    for incident in triage.incidents:
        if incident.is_compromise:
            for finding in incident.findings:
                for one in _of(finding):
                    found.setdefault((one.kind, one.value, one.port), one)
    # An address with its port says more than the address alone.
    with_port = {one.value for one in found.values() if one.port is not None}
    return [one for one in found.values() if one.port is not None or one.value not in with_port]


def _of(finding: Finding) -> Iterator[Indicator]:
    note = told(finding, "en")
    for thing in finding.strong_things:
        if thing.kind == "pool":
            host, _, port = thing.value.rpartition(":")
            yield from _host(host or port, int(port) if host and _PORT.fullmatch(port) else None, False, note)
        elif thing.kind == "address":
            yield from _host(thing.value, None, finding.query.name == "brute_force_login_succeeded", note)
        elif thing.kind == "hash" and _SHA256.fullmatch(thing.value):
            yield Indicator("sha256", thing.value, None, False, note)
        elif thing.kind in ("wallet", "key"):
            yield Indicator(thing.kind, thing.value, None, False, note)


def _host(host: str, port: Optional[int], is_source: bool, note: str) -> Iterator[Indicator]:
    bare = host.strip("[]")
    try:
        parse_address(bare)
    except ValueError:
        if _DOMAIN.fullmatch(bare):
            yield Indicator("domain", bare, port, is_source, note)
        return
    yield Indicator("ip", bare, port if port is not None and port < 65536 else None, is_source, note)
