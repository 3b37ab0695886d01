"""Indicators: what a list may hold, how it is loaded, and what counts as a match."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.host import Host
from tables.host.network.sockets import endpoint_token
from tables.host.settings import Settings
from tables.indicators.networks import Network, NetworkIndex, parse_address, parse_network
from tables.indicators.pool_lists import parse_indicator
from tables.indicators.pools import Match, PoolIndicators, add_list, builtin_indicators, pool_indicators
from tests.support.connections import host_with_list
from tests.support.namespaces import REPOSITORY

FEEDS = REPOSITORY.parent / "shared" / "feeds"
needs_feeds = pytest.mark.skipif(not FEEDS.is_dir(), reason=f"the public feeds are not at {FEEDS.name}/ beside this repository")
CLOUDFLARE = "104.16.1.1"


def loaded(*lines: str) -> PoolIndicators:
    indicators = builtin_indicators()
    add_list(indicators, "\n".join(lines), "/lists/mine.txt", "2026-01-02")
    return indicators


def match(indicators: PoolIndicators, address: str, port: int, is_tcp: bool = True) -> Optional[Match]:
    token = endpoint_token(parse_address(address), port)
    found = indicators.match(token, is_tcp)
    assert indicators.candidates({token}, is_tcp) == ({token} if found else set())
    return found


@pytest.mark.parametrize(
    ("text", "shown", "port"),
    [
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1:3333", "192.0.2.1", 3333),
        ("192.0.2.77/24", "192.0.2.0/24", None),
        ("2001:db8::1", "2001:db8::1", None),
        ("[2001:db8::1]:3333", "2001:db8::1", 3333),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:DB8::/32", "2001:db8::/32", None),
        ("::ffff:192.0.2.1", "192.0.2.1", None),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1", 1),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", None),
        ("0.0.0.0/0", "0.0.0.0/0", None),
    ],
)
def test_reads_addresses_and_ranges(text: str, shown: str, port: Optional[int]) -> None:
    indicator = parse_indicator(text)
    assert (str(indicator.network), indicator.port, indicator.domain) == (shown, port, None)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Pool.Example.COM", "pool.example.com"),
        ("*.example.com", "example.com"),
        ("xn--e1afmkfd.xn--p1ai.", "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_reads_domains(text: str, domain: str) -> None:
    assert parse_indicator(text) == (None, None, domain)


@pytest.mark.parametrize(
    "text",
    [
        "pool", "256.1.1.1", "1.2.3", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:x", "1.2.3.4:٣", "1.2.3.4/33", "1.2.3.4/-1",
        "1.2.3.4/", "::1/129", "[::1", "[::1]3333", "[1.2.3.4]:1", "fe80::1%eth0", "0.0.0.0 pool.example.com", "http://pool.example.com",
        "stratum+tcp://pool.example.com:3333", "a..b.com", "-a.com", "exa mple.com", "пул.рф", "\udcff.com",
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_with_file_and_number(text: str) -> None:
    with pytest.raises(TableError, match=r"/lists/mine.txt, line 3: "):
        loaded("# comment", "192.0.2.1  # another", text)


@given(st.text(max_size=80))
def test_any_text_is_an_indicator_or_a_value_error(text: str) -> None:
    try:
        indicator = parse_indicator(text)
    except ValueError:
        return
    assert (indicator.network is None) != (indicator.domain is None)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3"), st.integers(0, 128))
def test_a_range_holds_what_the_standard_library_says(address: ipaddress.IPv4Address, length: int) -> None:
    network = ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False)
    parsed = parse_network(str(network))
    index: NetworkIndex[str] = NetworkIndex()
    index.add(parsed, "here")
    for inside in (network.network_address, network.broadcast_address, address):
        assert index.find(parse_address(str(inside))) == (parsed, "here")
    if network.prefixlen and int(network.broadcast_address) + 1 < 1 << network.max_prefixlen:
        assert index.find(parse_address(str(network.broadcast_address + 1))) is None


def test_the_narrowest_range_is_found() -> None:
    index: NetworkIndex[str] = NetworkIndex()
    for text in ("10.0.0.0/8", "10.1.2.0/24", "10.1.0.0/16"):
        index.add(parse_network(text), text)
    assert index.find(parse_address("10.1.2.3")) == (Network(b"\x0a\1\2\0", 24), "10.1.2.0/24")


def test_every_built_in_entry_says_where_it_is_from() -> None:
    entries = list(builtin_indicators())
    assert len(entries) > 400
    for indicator, listed in entries:
        assert listed.source and listed.confidence in ("high", "medium", "low"), indicator
        assert len(listed.updated) == 10 and listed.updated.startswith("20"), indicator
        if indicator.network is not None:
            assert ipaddress.ip_address(str(indicator.network)).is_global, indicator
            assert indicator.port is not None or listed.confidence == "low", indicator
            assert indicator.port not in (22, 53, 80, 443, 8080, 8443), indicator


@pytest.mark.parametrize(
    ("host", "pool"),
    [
        ("pool.supportxmr.com", "SupportXMR"), ("xmr-eu1.nanopool.org", "Nanopool"), ("gulf.moneroocean.stream", "MoneroOcean"),
        ("pool.hashvault.pro", "HashVault"), ("auto.c3pool.org", "C3Pool"), ("xmr.2miners.com", "2Miners"),
        ("rx.unmineable.com", "unMineable"), ("de.monero.herominers.com", "HeroMiners"), ("XMR.F2POOL.com.", "F2Pool"),
        ("donate.ssl.xmrig.com", "XMRig donation"),
    ],
)  # fmt: skip
def test_the_large_pools_are_known(host: str, pool: str) -> None:
    found = builtin_indicators().listed_domain(host)
    assert found is not None and (found[1].pool, found[1].confidence) == (pool, "high")


@pytest.mark.parametrize(
    "host", ["xmrig.com", "notnanopool.org", "nanopool.org.example.com", "localhost", "com", "", "mooo.com", "monero.net"]
)
def test_other_hosts_are_not(host: str) -> None:
    assert builtin_indicators().listed_domain(host) is None


def test_exact_endpoints_addresses_and_ranges_match() -> None:
    indicators = loaded("192.0.2.1:3333", "192.0.2.2", "198.51.100.0/24", "[2001:db8::1]:4444", "2001:db8:1::/48")
    for address, port, kind, matched, confidence in (
        ("192.0.2.1", 3333, "ip_port", "192.0.2.1:3333", "high"),
        ("::ffff:192.0.2.1", 3333, "ip_port", "192.0.2.1:3333", "high"),
        ("192.0.2.2", 9, "ip", "192.0.2.2", "high"),
        ("198.51.100.9", 9, "cidr", "198.51.100.0/24", "medium"),
        ("2001:db8::1", 4444, "ip_port", "[2001:db8::1]:4444", "high"),
        ("2001:db8:1::7", 9, "cidr", "2001:db8:1::/48", "medium"),
    ):
        found = match(indicators, address, port)
        assert found is not None
        assert (found.match_type, found.matched, found.confidence, found.shared_infra) == (kind, matched, confidence, None)
        assert (found.listed.source, found.listed.updated) == ("/lists/mine.txt", "2026-01-02")
    for address, port in (("192.0.2.1", 3332), ("192.0.2.3", 3333), ("198.51.101.1", 9), ("2001:db8::1", 3333)):
        assert match(indicators, address, port) is None


def test_an_address_that_a_cdn_shares_is_never_a_pool_by_itself() -> None:
    assert match(builtin_indicators(), CLOUDFLARE, 443) is None
    for line, port, kind, confidence in (
        (CLOUDFLARE, 443, "ip", "low"),
        ("104.16.0.0/16", 443, "cidr", "low"),
        (f"{CLOUDFLARE}:8443", 8443, "ip_port", "medium"),
    ):
        found = match(loaded(line), CLOUDFLARE, port)
        assert found is not None and (found.match_type, found.confidence, found.shared_infra) == (kind, confidence, "cloudflare")
    for address, name in (
        ("151.101.1.1", "fastly"),
        ("2606:4700::1111", "cloudflare"),
        ("23.0.0.1", "akamai"),
        ("8.8.8.8", None),
    ):
        assert builtin_indicators().shared_network(parse_address(address)) == name


def test_a_port_alone_is_a_hint_towards_public_addresses_over_tcp_only() -> None:
    indicators = builtin_indicators()
    found = match(indicators, "8.8.8.8", 3333)
    assert found is not None and (found.match_type, found.confidence) == ("port", "low")
    for address in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1"):
        assert match(indicators, address, 3333) is None
    assert match(indicators, "8.8.8.8", 3333, is_tcp=False) is None
    assert match(indicators, "8.8.8.8", 443) is None


def test_a_custom_entry_keeps_what_the_built_in_list_knows_of_the_pool() -> None:
    token = next(token for token, listed in builtin_indicators().endpoints.items() if listed.pool == "Nanopool")
    indicator, _ = next(entry for entry in builtin_indicators() if entry[0].network and entry[1].pool == "Nanopool")
    listed = loaded(f"{indicator.network}:{indicator.port}", "nanopool.org").endpoints[token]
    assert (listed.pool, listed.coin, listed.confidence, listed.source) == ("Nanopool", "XMR", "high", "/lists/mine.txt")
    found = loaded("nanopool.org").listed_domain("nanopool.org")
    assert found is not None and found[1].pool == "Nanopool" and 14444 in found[1].ports and found[1].is_custom


def test_an_edited_list_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    host = host_with_list(tmp_path, "192.0.2.1:1")
    first = pool_indicators(host)
    assert match(first, "192.0.2.1", 1) and pool_indicators(host) is first
    Path(host.settings.indicators[0]).write_text("192.0.2.1:2\n")
    assert match(pool_indicators(host), "192.0.2.1", 2) and match(pool_indicators(host), "192.0.2.1", 1) is None


def test_lists_beside_the_configuration_and_those_it_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "indicators.d").mkdir(mode=0o700)
    (tmp_path / "indicators.d" / "a.txt").write_text("192.0.2.1:1\n")
    (tmp_path / "named.txt").write_text("\ufeff192.0.2.2:2\r\n")
    (tmp_path / "minehunt.yaml").write_text("indicators: [named.txt]\n")
    for path in (tmp_path / "indicators.d" / "a.txt", tmp_path / "named.txt", tmp_path / "minehunt.yaml"):
        path.chmod(0o600)
    indicators = pool_indicators(Host(settings=Settings(config=str(tmp_path / "minehunt.yaml"))))
    assert match(indicators, "192.0.2.1", 1) and match(indicators, "192.0.2.2", 2)


def test_a_list_that_others_may_write_is_refused(tmp_path: Path) -> None:
    host = host_with_list(tmp_path, "192.0.2.1")
    Path(host.settings.indicators[0]).chmod(0o666)
    with pytest.raises(TableError, match=r"pools\.txt: refused: writable by others"):
        pool_indicators(host)


def test_a_missing_list_and_a_fifo_are_errors_not_silence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("none.txt", "fifo"):
        with pytest.raises(TableError, match=name):
            pool_indicators(Host(settings=Settings(indicators=(str(tmp_path / name),))))


def test_a_hundred_thousand_lines_are_loaded_whole() -> None:
    lines = [f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}:{number % 65535 + 1}" for number in range(100_000)]
    indicators = loaded(*lines)
    assert len(indicators.endpoints) == len(builtin_indicators().endpoints) + 100_000
    assert match(indicators, "198.19.134.159", 99_999 % 65535 + 1)


def test_the_lists_can_be_read_from_a_zipapp(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for path in sorted((REPOSITORY / "tables").rglob("*")):
            if path.suffix in (".py", ".yaml"):
                archive.write(path, path.relative_to(REPOSITORY))
    code = "from tables.indicators.pools import builtin_indicators as b; print(len(b().domains), len(b().shared.items()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "app.zip")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    expected = builtin_indicators()
    assert result.stdout.split() == [str(len(expected.domains)), str(len(expected.shared.items()))]


@needs_feeds
def test_every_built_in_endpoint_is_in_the_feed_it_names() -> None:
    feed = set((FEEDS / "maltrail-crypto_mining.txt").read_text().lower().split())
    for indicator, listed in builtin_indicators():
        if listed.source.startswith("Maltrail"):
            text = indicator.domain or (f"{indicator.network}:{indicator.port}" if indicator.port else str(indicator.network))
            assert text in feed or any(name.endswith(f".{text}") for name in feed), text


@needs_feeds
def test_a_whole_public_feed_loads_as_a_list() -> None:
    lines = [line.strip() for line in (FEEDS / "maltrail-crypto_mining.txt").read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "http://"))]
    indicators = loaded(*lines)
    assert len(lines) > 1000
    for line in lines:
        indicator = parse_indicator(line)
        if indicator.domain:
            assert indicators.domains[indicator.domain].is_custom
        elif indicator.network:
            assert match(indicators, str(indicator.network), indicator.port or 1)


@needs_feeds
@pytest.mark.parametrize("name", ["cloudflare", "fastly", "akamai"])
def test_the_shared_ranges_are_those_of_the_feed(name: str) -> None:
    shared = builtin_indicators().shared
    ranges = json.loads((FEEDS / f"misp-{name}.json").read_text())["list"]
    listed = [ipaddress.ip_network(str(network)) for network, owner in shared.items() if owner == name]
    for version in (4, 6):
        wanted = [network for network in map(ipaddress.ip_network, ranges) if network.version == version]
        found = [network for network in listed if network.version == version]
        assert list(ipaddress.collapse_addresses(found)) == list(ipaddress.collapse_addresses(wanted))
