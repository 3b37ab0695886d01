"""Every format that feeds come in is told apart and read; hostile ones end in an error that says why."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.intel.collect import collect
from extension.intel.formats import FORMATS, FormatError, detect, read_feed
from extension.intel.ranges import shared_ranges
from tests.support.namespaces import REPOSITORY

FEEDS = REPOSITORY.parent / "shared" / "feeds"
needs_feeds = pytest.mark.skipif(not FEEDS.is_dir(), reason=f"the public feeds are not at {FEEDS.name}/ beside this repository")
SHARED = shared_ranges()

PLAIN = "# mine\npool.evil.com ; first\n5.189.171.187:3333\n\n5.189.171.0/24\r\n[2a01:4f8::1]:3333\n"
_LOCAL = "127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 0.0.0.0\n"
HOSTS = _LOCAL + "0.0.0.0 pool.evil.com other.evil.com # two\n0.0.0.0\tthird.evil.com\n"
MALTRAIL = "# Reference: https://example.com\n\npool.evil.com\n5.189.171.187:3333\n/gate.php?x=\nevil.com/miner.sh\n"


def entries(text: str, form: str = "auto") -> list[str]:
    return [raw.text for raw in read_feed(text, form).entries if not raw.refused]


def misp_event(*attributes: dict[str, Any]) -> str:
    return json.dumps({"Event": {"info": "campaign", "date": "2026-10-01", "Attribute": list(attributes)}})


def stix(*patterns: str, **fields: Any) -> str:
    indicators = [{"type": "indicator", "pattern_type": "stix", "pattern": pattern, **fields} for pattern in patterns]
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": [{"type": "identity"}, *indicators]})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", PLAIN),
        ("text", "[2a01:4f8::1]:3333\n"),
        ("text", ""),
        ("hosts", HOSTS),
        ("maltrail", MALTRAIL),
        ("csv", "date,domain\n2026,evil.com\n"),
        ("csv", '# "first_seen","ioc_value"\n"2026","evil.com"\n'),
        ("csv", "ip;port\n1.1.1.1;3\n"),
        ("misp", misp_event()),
        ("misp", '{"response": []}'),
        ("misp", '[{"Event": {}}]'),
        ("misp", '{"type": "cidr", "list": []}'),
        ("stix", stix()),
        ("stix", " \n" + stix()),
    ],
)
def test_tells_the_formats_apart(form: str, text: str) -> None:
    assert detect(text) == form


def test_reads_plain_lists_and_their_headers() -> None:
    assert entries("\ufeff" + PLAIN) == ["pool.evil.com", "5.189.171.187:3333", "5.189.171.0/24", "[2a01:4f8::1]:3333"]
    feed = read_feed("# feed: x\n# kind: shared\n# date: 2026-10-01\n5.189.0.0/16\n")
    assert (feed.title, feed.kind, feed.date) == ("x", "shared", "2026-10-01")


def test_reads_hosts_files() -> None:
    assert entries(HOSTS) == ["pool.evil.com", "other.evil.com", "third.evil.com"]


def test_reads_maltrail() -> None:
    assert entries(MALTRAIL) == ["pool.evil.com", "5.189.171.187:3333", "evil.com/miner.sh"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("domain,comment\nevil.com,x\n\nb.evil.com,\n", ["evil.com", "b.evil.com"]),
        (
            "ip,port\n5.189.171.187,3333\n2a01:4f8::1,4444\n5.189.171.188,\n",
            ["5.189.171.187:3333", "[2a01:4f8::1]:4444", "5.189.171.188"],
        ),
        ("Host;Port\nevil.com;3333\n", ["evil.com:3333"]),
        ("ip_address\tdst_port\turl\n5.189.171.187\t9\thttp://evil.com/\n", ["http://evil.com/", "5.189.171.187:9"]),
        ('# ThreatFox\n# "first_seen_utc","ioc_value","tags"\n"2026-01-01","5.189.171.187:80","a,b"\n', ["5.189.171.187:80"]),
        ("2026,evil.com,x\n2027,b.evil.com,y\n", ["evil.com", "b.evil.com"]),
    ],
)
def test_reads_tables(text: str, expected: list[str]) -> None:
    assert entries(text, "csv") == expected


def test_reads_misp_events() -> None:
    objects = [{"Attribute": [{"type": "ip-dst|port", "value": "5.189.171.187|3333"}]}]
    attributes = [
        {"type": "domain", "value": "evil.com"},
        {"type": "hostname", "value": "off.evil.com", "to_ids": False},
        {"type": "domain|ip", "value": "b.evil.com|5.189.171.188"},
        {"type": "url", "value": "hxxp://c.evil[.]com"},
        {"type": "md5", "value": "0" * 32},
        {"type": "domain", "value": "gone.evil.com", "deleted": True},
        {"type": "domain", "value": None},
        {"type": "ip-dst|port", "value": "2a01:4f8::1|1"},
    ]
    feed = read_feed(json.dumps({"response": [{"Event": {"date": "2026-10-01", "Attribute": attributes, "Object": objects}}]}))
    assert [raw.text for raw in feed.entries if not raw.refused] == [
        "evil.com",
        "b.evil.com",
        "5.189.171.188",
        "hxxp://c.evil[.]com",
        "",
        "[2a01:4f8::1]:1",
        "5.189.171.187:3333",
    ]
    assert [raw.text for raw in feed.entries if raw.refused] == ["off.evil.com"] and feed.date == "2026-10-01"


def test_a_warning_list_is_a_list_of_shared_ranges() -> None:
    feed = read_feed('{"name": "Cloud", "type": "cidr", "version": 20260811, "list": ["5.189.0.0/16", 7]}')
    assert (feed.kind, feed.title, feed.version, feed.date) == ("shared", "Cloud", "20260811", "2026-08-11")
    assert [raw.text for raw in feed.entries] == ["5.189.0.0/16", "7"]
    with pytest.raises(FormatError, match="hostname"):
        read_feed('{"type": "hostname", "list": ["google.com"]}')


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[domain-name:value = 'evil.com']", ["evil.com"]),
        ("[ipv4-addr:value = '5.189.171.187' OR ipv6-addr:value = '2a01:4f8::1']", ["5.189.171.187", "2a01:4f8::1"]),
        ("[domain-name:value IN ('a.evil.com', 'b.evil.com')]", ["a.evil.com", "b.evil.com"]),
        ("[network-traffic:dst_ref.value = '5.189.171.187' AND network-traffic:dst_port = 3333]", ["5.189.171.187:3333"]),
        ("[ipv4-addr:value = '5.189.171.187'] AND [network-traffic:dst_port IN (1, 2)]", ["5.189.171.187:1", "5.189.171.187:2"]),
        ("[url:value = 'http://evil.com:3333/']", ["http://evil.com:3333/"]),
        ("[domain-name:value NOT = 'good.com' AND domain-name:value LIKE 'x%' AND file:name = 'xmrig']", []),
        ("[domain-name:value = 'it''s", ["[domain-name:value = 'it''s"]),
        (r"[domain-name:value = 'a\'b.com']", ["a'b.com"]),
    ],
)
def test_reads_stix_patterns(pattern: str, expected: list[str]) -> None:
    assert entries(stix(pattern)) == expected


def test_indicators_that_are_over_are_refused() -> None:
    for fields, reason in (({"revoked": True}, "revoked"), ({"valid_until": "2020-01-01T00:00:00Z"}, "until 2020-01-01")):
        (raw,) = read_feed(stix("[domain-name:value = 'evil.com']", **fields)).entries
        assert raw.refused is not None and reason in raw.refused
    assert entries(stix("[domain-name:value = 'evil.com']", valid_until="2999-01-01T00:00:00Z")) == ["evil.com"]
    assert entries(stix("evil", pattern_type="snort")) == []


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html>",
        "\n\n <html>",
        "{",
        '{"Event": ',
        "[" * 100_000,
        "{}",
        '{"a": 1}',
        "[1, 2]",
        '{"type": "bundle"}',
        '{"list": 1, "type": "cidr"}',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_feed_is_an_error_that_says_why(text: str) -> None:
    with pytest.raises(FormatError, match=r"\w"):
        read_feed(text)


@given(
    st.sampled_from(FORMATS),
    st.text(max_size=200) | st.lists(st.sampled_from(["#", "domain,", "\n", "1.1.1.1 ", '"', "evil.com", "|"])).map("".join),
)
def test_any_text_is_a_feed_or_a_format_error(form: str, text: str) -> None:
    try:
        feed = read_feed(text, form)
    except FormatError as error:
        assert str(error)
        return
    collected = collect(feed, feed.kind, SHARED)
    used = len(collected.indicators) + collected.duplicates + len(collected.refused) + len(collected.junk)
    assert used == len(feed.entries)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Event", "Attribute", "Object", "type", "value", "list", "objects", "pattern"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(_json, st.sampled_from(["misp", "stix", "auto"]))
def test_any_json_is_a_feed_or_a_format_error(document: Any, form: str) -> None:
    for text in (json.dumps(document), json.dumps({"type": "bundle", "objects": document}), json.dumps({"Event": document})):
        with contextlib.suppress(FormatError):
            read_feed(text, form)


@needs_feeds
@pytest.mark.parametrize(
    "path", [FEEDS / "maltrail-crypto_mining.txt", *sorted(FEEDS.glob("misp-*.json"))], ids=lambda path: path.name
)
def test_the_public_feeds_are_understood_whole(path: Path) -> None:
    feed = read_feed(path.read_text())
    collected = collect(feed, feed.kind, SHARED)
    assert not collected.junk
    if feed.kind == "shared":
        assert len(collected.indicators) == len(json.loads(path.read_text())["list"]) and not collected.refused
        assert feed.date and feed.date.startswith("202")
    else:
        assert len(collected.indicators) > 1000
        assert all("shares between" in rejected.reason for rejected in collected.refused)
