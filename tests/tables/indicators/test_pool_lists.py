"""A list's header, its entries and what each counts for; what is malformed is named with its line."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.errors import TableError
from tables.indicators.networks import parse_address
from tables.indicators.pool_lists import (
    ListHeader,
    PoolList,
    Resolved,
    parse_entries,
    parse_header,
    parse_indicator,
    split_lines,
)
from tables.indicators.pools import PoolIndicators, add_list, builtin_indicators

HEADER = """\
# Kept by the SOC.
# feed: ours
# kind: pools
# version: 7
# date: 2026-11-20
# imported: 2026-11-21
# source: https://soc.example/pools: the list
# licence: CC0-1.0
# confidence: medium
# pool: EvilPool
# coin: XMR
"""


def added(text: str) -> PoolIndicators:
    indicators = builtin_indicators()
    add_list(indicators, text, "/lists/mine.txt", "2026-01-02")
    return indicators


def test_a_header_says_what_every_entry_of_the_list_is() -> None:
    indicators = added(HEADER + "\npool.evil.example\n192.0.2.1:3333\n")
    found = indicators.lists[-1]
    assert found.path == "/lists/mine.txt" and found.counts == {"domain": 1, "ip_port": 1}
    assert found.header == ListHeader(
        "ours",
        "pools",
        "7",
        "2026-11-20",
        "2026-11-21",
        "https://soc.example/pools: the list",
        "CC0-1.0",
        "medium",
        "EvilPool",
        "XMR",
    )
    listed = indicators.domains["pool.evil.example"]
    assert (listed.pool, listed.coin, listed.confidence, listed.updated) == ("EvilPool", "XMR", "medium", "2026-11-20")


def test_a_list_without_header_is_named_like_its_file_and_dated_like_its_change() -> None:
    indicators = added("# our pools: do not share\n# Reference: https://example.com\npool.evil.example\n# date: soon\n")
    header = indicators.lists[-1].header
    assert (header.feed, header.kind, header.date, header.confidence) == ("mine", "pools", "2026-01-02", None)
    assert indicators.domains["pool.evil.example"].confidence == "high"


@pytest.mark.parametrize(
    "line",
    [
        "# date: 20.11.2026",
        "# date: 2026-13-01",
        "# imported: yesterday",
        "# confidence: sure",
        "# kind: domains",
        "# feed:",
        "# feed: again",
    ],
)
def test_a_malformed_header_is_named_with_file_and_line(line: str) -> None:
    with pytest.raises(TableError, match=r"/lists/mine.txt, line 3: "):
        added(f"# feed: ours\n\n{line}\n192.0.2.1\n")


def test_shared_ranges_weaken_matches_and_are_no_pools() -> None:
    indicators = added("# feed: our-cloud\n# kind: shared\n192.0.2.0/24\n2001:db8::/32\n198.51.100.7\n")
    assert indicators.shared_network(parse_address("192.0.2.9")) == "our-cloud"
    assert indicators.shared_network(parse_address("198.51.100.7")) == "our-cloud"
    assert not indicators.networks and not any(listed.is_custom for _, listed in indicators)
    for entry in ("pool.evil.example", "192.0.2.1:80"):
        with pytest.raises(TableError, match=r"line 2: no IP address or CIDR"):
            added(f"# kind: shared\n{entry}\n")


def test_a_domain_matches_on_every_port_and_knows_the_one_it_was_listed_with() -> None:
    indicators = added("pool.evil.example:3333\npool.evil.example:4444\npool.evil.example:3333\nnanopool.org:999\n")
    found = indicators.listed_domain("eu.pool.evil.example")
    assert found is not None and found[1].ports == (3333, 4444)
    ports = indicators.domains["nanopool.org"].ports
    assert ports[0] == 14444 and ports[-1] == 999
    assert parse_indicator("*.Evil.example.:3333") == (None, 3333, "evil.example")


def test_a_resolved_address_is_dated_and_belongs_to_the_pool_of_its_name() -> None:
    indicators = added(
        "# date: 2026-11-23\n"
        "192.0.2.1:14444  # resolved xmr-eu1.nanopool.org 2026-11-20\n"
        "192.0.2.2:3333 # resolved pool.evil.example 2026-11-21\n"
        "192.0.2.3:3333 # resolved pool.evil.example some day\n"
    )
    by_port = {str(indicator.network): listed for indicator, listed in indicators if listed.is_custom}
    assert [(by_port[f"192.0.2.{n}"].pool, by_port[f"192.0.2.{n}"].updated) for n in (1, 2, 3)] == [
        ("Nanopool", "2026-11-20"),
        ("pool.evil.example", "2026-11-21"),
        (None, "2026-11-23"),
    ]


def test_a_feed_of_less_confidence_weakens_nothing_that_was_known_better() -> None:
    indicators = added("# confidence: low\nnanopool.org\npool.evil.example\n")
    assert indicators.domains["nanopool.org"].confidence == "high"
    assert indicators.domains["pool.evil.example"].confidence == "low"


def test_in_a_feed_an_address_alone_says_less_than_one_with_a_port() -> None:
    indicators = added("# confidence: medium\n192.0.2.1\n192.0.2.2:3333\n192.0.2.0/24\n")
    found = {str(indicator): listed.confidence for indicator, listed in indicators if listed.is_custom}
    assert found == {"192.0.2.1": "low", "192.0.2.2:3333": "medium", "192.0.2.0/24": "low"}


def test_the_age_of_pools_is_that_of_the_data_and_that_of_shared_ranges_counts_from_the_last_look() -> None:
    today = datetime.date(2026, 11, 23)
    for kind, age in (("pools", 100), ("shared", 3)):
        header = ListHeader(kind=kind, date="2026-08-15", imported="2026-11-20")
        assert PoolList(header, "/l", {}, "").age_days(today) == age
    assert PoolList(ListHeader(), "/l", {}, "").age_days(today) is None


def test_every_built_in_list_has_a_date_a_licence_and_a_checksum() -> None:
    lists = builtin_indicators().lists
    assert [found.header.kind for found in lists] == ["pools", *["shared"] * 6]
    for found in lists:
        assert found.path is None and found.header.date and found.header.licence and len(found.sha256) == 64


@given(st.text(max_size=300) | st.lists(st.sampled_from([*HEADER.split("\n"), "192.0.2.1", "x"])).map("\n".join))
def test_any_text_is_read_or_complained_about(text: str) -> None:
    lines = split_lines(text)
    complaints: list[int] = []
    header = parse_header(lines, lambda number, problem: complaints.append(number))
    entries = list(parse_entries(lines, header.kind, lambda number, problem: complaints.append(number)))
    assert all(1 <= number <= len(lines) for number in [*complaints, *(entry.line for entry in entries)])
    assert not {entry.line for entry in entries} & set(complaints)


def test_an_indicator_reads_back_as_it_is_written() -> None:
    for text in ("pool.evil.example", "pool.evil.example:1", "192.0.2.1", "192.0.2.1:9", "[2001:db8::1]:9", "2001:db8::/32"):
        assert str(parse_indicator(text)) == text and parse_indicator(str(parse_indicator(text))) == parse_indicator(text)
    (entry,) = parse_entries(["192.0.2.1:9 # resolved a.example 2026-01-31"], "pools", lambda number, problem: None)
    assert entry.resolved == Resolved("a.example", "2026-01-31")
