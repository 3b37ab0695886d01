"""Entries as people write them become list entries; what must not be matched is refused with a reason."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.intel.normalise import RefusedError, name_problem, normalise
from extension.intel.ranges import RangeSet, refusal, reserved_reason, shared_ranges
from tables.indicators.networks import parse_network
from tables.indicators.pool_lists import parse_indicator

SHARED = shared_ranges()


@pytest.mark.parametrize(
    ("text", "indicator"),
    [
        ("Pool.SupportXMR.com.", "pool.supportxmr.com"),
        ("  'pool.supportxmr.com'  ", "pool.supportxmr.com"),
        ("*.supportxmr.com", "supportxmr.com"),
        (".supportxmr.com", "supportxmr.com"),
        ("pool[.]supportxmr[dot]com", "pool.supportxmr.com"),
        ("pool(.)supportxmr{.}com:3333", "pool.supportxmr.com:3333"),
        ("hxxps://pool[.]supportxmr[.]com/", "pool.supportxmr.com"),
        ("hXXp[:]//pool.supportxmr.com:8080", "pool.supportxmr.com"),
        ("h**p://pool.supportxmr.com", "pool.supportxmr.com"),
        ("stratum+tcp://user:x@pool.supportxmr.com:3333/", "pool.supportxmr.com:3333"),
        ("stratum+ssl://pool.supportxmr.com:443#algo=rx/0", "pool.supportxmr.com:443"),
        ("b\u00fccher.de", "xn--bcher-kva.de"),
        ("\u043f\u0443\u043b.\u0440\u0444:3333", "xn--k1ahm.xn--p1ai:3333"),
        ("5[.]189[.]171[.]187:3333", "5.189.171.187:3333"),
        ("::ffff:5.189.171.187", "5.189.171.187"),
        ("[2A01:4F8::1]:3333", "[2a01:4f8::1]:3333"),
        ("5.189.0.0/16", "5.189.0.0/16"),
        ("http://5.189.171.187/xmrig", "5.189.171.187:80"),
        ("https://5.189.171.187", "5.189.171.187:443"),
        ("http://5.189.171.187:8088/a?b", "5.189.171.187:8088"),
    ],
)
def test_what_people_write_becomes_what_a_list_holds(text: str, indicator: str) -> None:
    found = normalise(text)
    assert str(found) == indicator
    assert parse_indicator(indicator) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pool",
        "localhost",
        "1.2.3",
        "1.2.3.4:99999",
        "some words",
        "a..b.com",
        "x" * 5000,
        "\u00fc" * 300 + ".com",
        "http://",
        "[::1",
        "%%%",
        "4BrL51JCc9NGQ71kWhnYoDRffsDZy7m1HUU7MRU4nUMXAHNFBEJhkTZV9HdaL4gfuNBxLPc3BeMkLGaPbF5vWtANQsGwTGg55Kq4p3ENE7",
    ],
)
def test_junk_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        normalise(text)


@pytest.mark.parametrize("text", ["https://pastebin.com/raw/abc", "github.com/xmrig/xmrig", "hxxps://transfer[.]sh/x/y.sh"])
def test_a_page_does_not_condemn_its_site(text: str) -> None:
    with pytest.raises(RefusedError, match="page"):
        normalise(text)


@pytest.mark.parametrize(
    ("domain", "problem"),
    [
        ("co.uk", "public suffix"),
        ("duckdns.org", "public suffix"),
        ("github.io", "public suffix"),
        ("xn--p1ai", "public suffix"),
        ("xmrig.exe", "no internet name"),
        ("proxy.corp", "no internet name"),
        ("pool.local", "no internet name"),
        ("4.3.2.1.in-addr.arpa", "no internet name"),
        ("pool.example", "no internet name"),
    ],
)
def test_names_that_no_list_may_hold(domain: str, problem: str) -> None:
    found = name_problem(domain)
    assert found is not None and problem in found


@pytest.mark.parametrize(
    "domain", ["supportxmr.com", "evil.duckdns.org", "pool.co.uk", "abcdefghij.onion", "pool.bit", "xn--k1ahm.xn--p1ai"]
)
def test_names_that_a_list_may_hold(domain: str) -> None:
    assert name_problem(domain) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.1.2.3", "private"),
        ("192.168.0.0/16", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("127.0.0.1", "itself"),
        ("0.0.0.0", "itself"),
        ("169.254.169.254", "link-local"),
        ("203.0.113.5", "documentation"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("104.16.1.1", "cloudflare"),
        ("151.101.0.0/24", "fastly"),
        ("3.120.209.58", "amazon-aws"),
        ("51.144.104.161", "microsoft-azure"),
        ("35.225.125.226", "google-gcp"),
        ("129.146.1.1", "oracle-oci"),
        ("2606:4700::1", "cloudflare"),
        ("0.0.0.0/0", "wider than"),
        ("172.0.0.0/8", "wider than"),
        ("172.31.0.0/16", "private"),
    ],
)
def test_addresses_that_no_list_may_hold(text: str, reason: str) -> None:
    found = refusal(parse_network(text), SHARED)
    assert found is not None and reason in found


@pytest.mark.parametrize("text", ["5.189.171.187", "94.23.247.0/24", "2a01:4f8::1"])
def test_addresses_that_a_list_may_hold(text: str) -> None:
    assert refusal(parse_network(text), SHARED) is None


@given(st.ip_addresses())
def test_what_the_standard_library_calls_private_is_refused(address: ipaddress.IPv4Address) -> None:
    # Special blocks that are routed nevertheless, and 6to4 and Teredo, are none of ours to judge.
    if isinstance(address, ipaddress.IPv6Address) and not address.is_private:
        return
    if address.is_loopback or address.is_link_local or address.is_multicast or (address.version == 4 and address.is_private):
        exact = str(address) not in ("192.0.0.9", "192.0.0.10")
        assert not exact or reserved_reason(parse_network(str(address))) is not None


_ranges = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(
    lambda drawn: ipaddress.ip_network((drawn[0] & 0x0F0F0000, drawn[1]), strict=False)
)


@given(st.lists(_ranges, max_size=8), _ranges)
def test_an_overlap_is_what_the_standard_library_calls_one(
    ranges: list[ipaddress.IPv4Network], asked: ipaddress.IPv4Network
) -> None:
    found = RangeSet((parse_network(str(each)), str(each)) for each in ranges).find(parse_network(str(asked)))
    assert (found is not None) == any(asked.overlaps(each) for each in ranges)
    assert found is None or found in map(str, ranges)


@given(st.text(max_size=200) | st.text("htxp:/[](){}.dotDOT a1-\\:@", max_size=60))
def test_any_text_is_an_indicator_or_a_reason(text: str) -> None:
    try:
        indicator = normalise(text)
    except (ValueError, RefusedError) as error:
        assert str(error)
        return
    assert parse_indicator(str(indicator)) == indicator
