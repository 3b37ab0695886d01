"""Which remote addresses and host names are mining pools: the built-in list, the operator's own lists, and the look-up."""

from __future__ import annotations

import datetime
import functools
import hashlib
import ipaddress
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import Files
from tables.host.network.sockets import PORT_BYTES, address_text, endpoint_token
from tables.indicators.loader import load_yaml, read_data
from tables.indicators.networks import Network, NetworkIndex, parse_network
from tables.indicators.pool_lists import (
    SHARED,
    Indicator,
    ListHeader,
    PoolList,
    parse_entries,
    parse_header,
    parse_indicator,
    split_lines,
)

HIGH, MEDIUM, LOW = "high", "medium", "low"
RANK = {HIGH: 2, MEDIUM: 1, LOW: 0}

_NO_PORT = bytes(PORT_BYTES)
# Two million lines of the longest addresses; what is longer is no list for matching on a host.
MAX_LIST_BYTES = 64 << 20


class Listed(NamedTuple):
    """What a list says of an indicator; `ports` are those a pool's names usually serve, `updated` is an ISO date."""

    pool: Optional[str]
    coin: Optional[str]
    ports: tuple[int, ...]
    confidence: str
    source: str
    updated: str
    is_custom: bool = False


class Match(NamedTuple):
    """Why a connection counts as one to a pool: what matched, and what a list says of it, if it is in one.

    `shared_infra` names the CDN or cloud whose range the address is in, `where` the place where a process names the pool itself.
    """

    match_type: str
    matched: str
    listed: Optional[Listed]
    confidence: str
    shared_infra: Optional[str]
    where: Optional[str] = None


class PoolIndicators:
    """The indicators in force. Addresses are kept as the kernel's dump of sockets has them: these are matched undecoded."""

    def __init__(self) -> None:
        self.endpoints: dict[bytes, Listed] = {}
        self.addresses: dict[bytes, Listed] = {}
        self.networks: NetworkIndex[Listed] = NetworkIndex()
        self.domains: dict[str, Listed] = {}
        self.stratum_ports: dict[int, Listed] = {}
        self.shared: NetworkIndex[str] = NetworkIndex()
        self.lists: list[PoolList] = []
        self._stratum_tokens: frozenset[bytes] = frozenset()

    def add(self, indicator: Indicator, listed: Listed) -> None:
        """Put in one indicator; of one that is listed twice the last wins, keeping pool and better confidence of an earlier list.

        A domain matches on every port; the one it is listed with joins those that it usually serves.
        """
        network, port, domain = indicator
        if network is None:
            key: Any = domain
            known: Any = self.domains
            if port is not None:
                served = known[key].ports if key in known else ()
                listed = listed._replace(ports=(*served, port) if port not in served else served)
        elif network.is_address:
            key = endpoint_token(network.packed, port)
            known = self.addresses if port is None else self.endpoints
        else:
            earlier = self.networks.get(network)
            self.networks.add(network, _merged(earlier, listed))
            return
        earlier = known.get(key)
        known[key] = listed if earlier is None else _merged(earlier, listed)

    def add_stratum_ports(self, ports: list[int], listed: Listed) -> None:
        """Name the ports that count as a hint by themselves."""
        self.stratum_ports = dict.fromkeys(ports, listed)
        self._stratum_tokens = frozenset(port.to_bytes(PORT_BYTES, "big") for port in ports)

    def __iter__(self) -> Iterator[tuple[Indicator, Listed]]:
        for domain, listed in self.domains.items():
            yield Indicator(None, None, domain), listed
        for token, listed in self.addresses.items():
            yield Indicator(Network(token, len(token) * 8), None, None), listed
        for token, listed in self.endpoints.items():
            packed = token[:-PORT_BYTES]
            yield Indicator(Network(packed, len(packed) * 8), int.from_bytes(token[-PORT_BYTES:], "big"), None), listed
        for network, listed in self.networks.items():
            yield Indicator(network, None, None), listed

    def listed_domain(self, host: str) -> Optional[tuple[str, Listed]]:
        """The listed domain that `host` is, or is below; the longest one."""
        name = host.lower().rstrip(".")
        while "." in name:
            if name in self.domains:
                return name, self.domains[name]
            _, _, name = name.partition(".")
        return None

    def candidates(self, tokens: set[bytes], is_tcp: bool) -> set[bytes]:
        """Those of the remote tokens (as endpoint_token makes them) that `match` will have an answer for, and few more."""
        found = self.endpoints.keys() & tokens
        addresses = {token[:-PORT_BYTES] for token in tokens}
        listed = self.addresses.keys() & addresses
        if self.networks:
            listed |= {address for address in addresses if address and self.networks.find(address)}
        if listed:
            found |= {token for token in tokens if token[:-PORT_BYTES] in listed}
        if is_tcp:
            ports = self._stratum_tokens
            found |= {token for token in tokens if token[-PORT_BYTES:] in ports and _is_public(token[:-PORT_BYTES])}
        # An unconnected socket has port 0 for a remote port.
        return {token for token in found if not token.endswith(_NO_PORT)}

    def match(self, token: bytes, is_tcp: bool) -> Optional[Match]:
        """The strongest reason to take the remote end `token` for a pool; of equal ones the most exact."""
        packed, port = token[:-PORT_BYTES], int.from_bytes(token[-PORT_BYTES:], "big")
        text = address_text(packed)
        shared = self.shared_network(packed)
        found = []
        if token in self.endpoints:
            listed = self.endpoints[token]
            endpoint = f"[{text}]:{port}" if len(packed) == 16 else f"{text}:{port}"
            found.append(Match("ip_port", endpoint, listed, _at_most(listed.confidence, MEDIUM if shared else HIGH), shared))
        if packed in self.addresses:
            listed = self.addresses[packed]
            found.append(Match("ip", text, listed, _at_most(listed.confidence, LOW if shared else HIGH), shared))
        network = self.networks.find(packed)
        if network is not None:
            limit = LOW if shared else MEDIUM
            found.append(Match("cidr", str(network[0]), network[1], _at_most(network[1].confidence, limit), shared))
        if is_tcp and port in self.stratum_ports and _is_public(packed):
            found.append(Match("port", str(port), self.stratum_ports[port], LOW, shared))
        return max(found, key=lambda match: RANK[match.confidence], default=None)

    def shared_network(self, packed: bytes) -> Optional[str]:
        """Name of the CDN or cloud whose range holds the address."""
        found = self.shared.find(packed)
        return found[1] if found else None


def _merged(earlier: Optional[Listed], later: Listed) -> Listed:
    if earlier is None:
        return later
    return later._replace(
        pool=later.pool or earlier.pool,
        coin=later.coin or earlier.coin,
        ports=later.ports or earlier.ports,
        confidence=max(later.confidence, earlier.confidence, key=RANK.__getitem__),
    )


def _at_most(confidence: str, limit: str) -> str:
    return min(confidence, limit, key=RANK.__getitem__)


def _is_public(address: bytes) -> bool:
    return ipaddress.ip_address(address).is_global if address else False


@functools.lru_cache(maxsize=1)
def builtin_pool_names() -> PoolIndicators:
    """Of the lists that ship with minehunt the names of pools alone, for judging text that no host's own lists go with."""
    indicators = PoolIndicators()
    for group in _load_yaml("pools.yaml")[0]["pools"]:
        for text in group.get("domains", "").split():
            indicators.add(parse_indicator(text), _listed(group))
    return indicators


def builtin_indicators() -> PoolIndicators:
    """The lists that ship with minehunt: pools.yaml and shared_infrastructure.yaml."""
    indicators = PoolIndicators()
    pools, digest = _load_yaml("pools.yaml")
    counts: Counter[str] = Counter()
    for group in pools["pools"]:
        listed = _listed(group)
        for text in f"{group.get('domains', '')} {group.get('endpoints', '')}".split():
            indicator = parse_indicator(text)
            counts[indicator.type_name] += 1
            indicators.add(indicator, listed)
    indicators.add_stratum_ports(pools["stratum_ports"]["ports"], _listed(pools["stratum_ports"]))
    newest = max(group["date"] for group in pools["pools"])
    indicators.lists.append(PoolList(ListHeader(date=newest, **pools["list"]), None, dict(counts), digest))
    shared, digest = _load_yaml("shared_infrastructure.yaml")
    for group in shared["networks"]:
        ranges = [parse_network(text) for text in group["ranges"].split()]
        for network in ranges:
            indicators.shared.add(network, group["network"])
        header = ListHeader(
            f"built-in {group['network']}",
            SHARED,
            date=group["date"],
            source=group["source"],
            confidence=group["confidence"],
            licence=shared["licence"],
        )
        indicators.lists.append(PoolList(header, None, {"cidr": len(ranges)}, digest))
    return indicators


@functools.lru_cache(maxsize=1)
def builtin_shared_networks() -> NetworkIndex[str]:
    """Of the lists that ship with minehunt the ranges of CDNs and clouds alone, as builtin_pool_names; nobody adds to them."""
    return builtin_indicators().shared


def _listed(group: dict[str, Any]) -> Listed:
    ports = tuple(group.get("ports", ()))
    return Listed(group.get("pool"), group.get("coin"), ports, group["confidence"], group["source"], group["date"])


def _load_yaml(name: str) -> tuple[Any, str]:
    """What the data file holds, and its SHA-256."""
    return load_yaml(name), hashlib.sha256(read_data(name)).hexdigest()


def add_list(indicators: PoolIndicators, text: str, path: str, updated: str) -> None:
    """Add the operator's list `text` (the format is in pool_lists.py); `updated`, an ISO date, is its day if it names none.

    A list without a `confidence` is the operator's word: high. In one of lesser confidence an address without a port has a
    low one, since who has an address changes. Raises TableError with `path` and the line's number for a line that is no
    indicator and a header that is not valid.
    """

    def malformed(number: int, problem: str) -> None:
        raise TableError(f"indicators: {path}, line {number}: {problem}")

    lines = split_lines(text)
    header = parse_header(lines, malformed)
    day = header.date or updated
    name = header.feed or os.path.splitext(os.path.basename(path))[0]
    listed = Listed(header.pool, header.coin, (), header.confidence or HIGH, path, day, is_custom=True)
    bare = listed if listed.confidence == HIGH else listed._replace(confidence=LOW)
    counts: Counter[str] = Counter()
    for entry in parse_entries(lines, header.kind, malformed):
        counts[entry.indicator.type_name] += 1
        network = entry.indicator.network
        if header.kind == SHARED and network is not None:
            indicators.shared.add(network, name)
        elif entry.resolved is None:
            has_port = network is None or entry.indicator.port is not None
            indicators.add(entry.indicator, listed if has_port else bare)
        else:
            known = indicators.listed_domain(entry.resolved.name)
            pool, coin = (known[1].pool, known[1].coin) if known else (None, None)
            indicators.add(
                entry.indicator,
                listed._replace(pool=pool or entry.resolved.name, coin=coin or listed.coin, updated=entry.resolved.date),
            )
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    indicators.lists.append(PoolList(header._replace(feed=name, date=day), path, dict(counts), digest))


class IndicatorCache:
    """The loaded indicators, read again when one of the operator's files was changed, added or removed."""

    def __init__(self) -> None:
        self._identity: Optional[tuple[object, ...]] = None
        self._indicators = PoolIndicators()

    def get(self, host: Host) -> PoolIndicators:
        """The indicators in force now; TableError names a list that is missing, not trusted, too large or malformed."""
        files = Files("/")
        paths = host.settings.indicator_files()
        try:
            # Taken before the reading, so that a change during it is seen by the next call.
            stats = [files.stat(path) for path in paths]
            identity = tuple(
                (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino) for path, found in zip(paths, stats)
            )
            if identity != self._identity:
                indicators = builtin_indicators()
                for path, found in zip(paths, stats):
                    if found.st_size > MAX_LIST_BYTES:
                        raise TableError(f"indicators: {path}: larger than {MAX_LIST_BYTES >> 20} MiB")
                    updated = datetime.datetime.fromtimestamp(found.st_mtime, datetime.timezone.utc).date().isoformat()
                    add_list(indicators, files.read_trusted(path, MAX_LIST_BYTES), path, updated)
                self._indicators = indicators
                self._identity = identity
        except OSError as error:
            raise TableError(f"indicators: {error}") from None
        return self._indicators


def pool_indicators(host: Host) -> PoolIndicators:
    """The indicators in force on `host`, loaded once and again after a change."""
    return host.state("pool_indicators", IndicatorCache).get(host)
