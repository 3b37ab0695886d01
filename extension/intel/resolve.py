"""Looks pools' names up, from where the user sits and never from a host that is watched, into dated ip:port entries."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from extension.intel.collect import Rejected
from extension.intel.normalise import RefusedError, name_problem, normalise
from extension.intel.ranges import RangeSet, refusal
from tables.indicators.networks import Network, parse_address
from tables.indicators.pool_lists import Indicator, Resolved, ignore, parse_date, parse_entries, parse_header, parse_indicator
from tables.indicators.pools import PoolIndicators

if TYPE_CHECKING:
    from dns.resolver import Resolver

_WORKERS = 16
_MAX_ADDRESSES = 64
# A pool's own web site answers there, so that they count for names only to which the user gives them.
WEB_PORTS = frozenset({80, 443, 8080, 8443})


class Target(NamedTuple):
    """A name to look up, and the ports that its addresses get."""

    name: str
    ports: tuple[int, ...]


def target(text: str, indicators: PoolIndicators) -> Union[Target, Rejected]:
    """What `NAME` or `NAME:PORT` asks for, the ports being those known of the pool, or why it asks for nothing."""
    try:
        indicator = normalise(text)
    except (RefusedError, ValueError) as error:
        return Rejected(text, "", str(error))
    domain = indicator.domain
    if domain is None:
        return Rejected(text, "", "an address, not a name")
    ports = (indicator.port,) if indicator.port is not None else _ports(domain, indicators)
    problem = name_problem(domain) or (None if ports else "no port is known for it; give NAME:PORT")
    return Rejected(text, "", problem) if problem else Target(domain, ports)


def known_targets(indicators: PoolIndicators) -> list[Target]:
    """Every name in force of which a port is known."""
    found = [Target(name, _ports(name, indicators)) for name in sorted(indicators.domains)]
    return [each for each in found if each.ports and name_problem(each.name) is None]


def _ports(name: str, indicators: PoolIndicators) -> tuple[int, ...]:
    """The ports of the name itself, else of the nearest listed name above it, without those of web sites."""
    while name:
        listed = indicators.domains.get(name)
        if listed and listed.ports:
            return tuple(port for port in listed.ports if port not in WEB_PORTS)
        name = name.partition(".")[2]
    return ()


def name_server(text: Optional[str], timeout: float) -> Resolver:
    """A resolver that asks the name server `IP`, `IPv4:port` or `[IPv6]:port`, else the machine's; ValueError for neither."""
    import dns.exception
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver(configure=text is None)
    except dns.exception.DNSException as error:
        raise ValueError(f"this machine has no name server: {error}") from None
    if text is not None:
        network, port, _ = parse_indicator(text)
        if network is None or not network.is_address:
            raise ValueError(f"{text!r} is no address of a name server")
        resolver.nameservers = [str(network)]
        resolver.port = port or 53
    resolver.timeout = timeout / 2
    resolver.lifetime = timeout
    resolver.search = []
    return resolver


class Answers(NamedTuple):
    """What the look-ups gave: an answer for each ip:port, the addresses that no list may hold, and the names that failed."""

    resolved: dict[Indicator, Resolved]
    refused: list[Rejected]
    failed: list[Rejected]


def resolve(targets: Sequence[Target], resolver: Resolver, shared: RangeSet, today: str) -> Answers:
    """Look up the A and AAAA records of every target."""
    answers = Answers({}, [], [])
    with ThreadPoolExecutor(_WORKERS) as pool:
        looked_up = list(pool.map(lambda each: _addresses(each.name, resolver), targets))
    for (name, ports), (addresses, problem) in zip(targets, looked_up):
        if problem:
            answers.failed.append(Rejected(name, "", problem))
        for address in addresses[:_MAX_ADDRESSES]:
            packed = parse_address(address)
            network = Network(packed, len(packed) * 8)
            reason = refusal(network, shared)
            if reason:
                answers.refused.append(Rejected(name, str(network), reason))
                continue
            for port in ports:
                answers.resolved.setdefault(Indicator(network, port, None), Resolved(name, today))
    return answers


def _addresses(name: str, resolver: Resolver) -> tuple[list[str], Optional[str]]:
    """The addresses of `name`, sorted, and what kept the name server from giving any or all of them."""
    answers = [_answer(name, kind, resolver) for kind in ("A", "AAAA")]
    found = sorted(address for addresses, _ in answers for address in addresses)
    problems = {problem: None for _, problem in answers if problem}
    if not found and not problems:
        return [], "it has no addresses"
    return found, "; ".join(problems) or None


def _answer(name: str, kind: str, resolver: Resolver) -> tuple[list[str], Optional[str]]:
    import dns.exception
    import dns.resolver

    try:
        answer = resolver.resolve(name, kind, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return [], "no such name"
    except dns.exception.Timeout:
        return [], f"no answer to {kind} in time"
    except dns.exception.DNSException as error:
        return [], f"{kind}: {str(error) or type(error).__name__}"
    return [record.to_text() for record in answer.rrset or ()], None


def still_fresh(lines: Sequence[str], today: datetime.date, keep_days: int) -> Iterable[tuple[Indicator, Resolved]]:
    """The entries of an earlier list that were answers at most `keep_days` days ago."""
    for entry in parse_entries(lines, parse_header(lines, ignore).kind, ignore):
        answered = parse_date(entry.resolved.date) if entry.resolved else None
        if entry.resolved and answered and (today - answered).days <= keep_days:
            yield entry.indicator, entry.resolved
