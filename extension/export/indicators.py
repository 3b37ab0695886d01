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
    """Something to hunt for: `kind` is ip, domain, sha256, wallet, key or image.

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
    is_source = finding.query.name == "brute_force_login_succeeded"
    for thing in finding.strong_things:
        yield from of_thing(thing.kind, thing.value, note, is_source and thing.kind == "address")


def of_thing(kind: str, value: str, note: str, is_source: bool = False) -> Iterator[Indicator]:
    """What others can hunt for by a thing of an incident (extension/incidents); nothing where it is none of that kind."""
    if kind == "pool":
        host, _, port = value.rpartition(":")
        yield from _host(host or port, int(port) if host and _PORT.fullmatch(port) else None, is_source, note)
    elif kind == "address":
        yield from _host(value, None, is_source, note)
    elif kind == "hash" and _SHA256.fullmatch(value):
        yield Indicator("sha256", value, None, is_source, note)
    elif kind in ("wallet", "key", "image"):
        yield Indicator(kind, value, None, is_source, note)


def _host(host: str, port: Optional[int], is_source: bool, note: str) -> Iterator[Indicator]:
    bare = host.strip("[]")
    port = port if port is not None and port < 65536 else None
    try:
        parse_address(bare)
    except ValueError:
        if _DOMAIN.fullmatch(bare):
            yield Indicator("domain", bare, port, is_source, note)
        return
    yield Indicator("ip", bare, port, is_source, note)
