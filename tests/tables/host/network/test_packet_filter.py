from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.network.packet_filter import parse_attributes
from tests.support.namespaces import run_in_namespaces

# Gives nftables a table over netlink, as `nft` does: batch begin, table, chain, rules, batch end.
NFT = """
import socket, struct
from tables.host.network.packet_filter import input_chains

def attribute(kind, payload):
    data = struct.pack("=HH", 4 + len(payload), kind) + payload
    return data + bytes(-len(data) % 4)

def message(kind, flags, family, resource, payload=b""):
    body = struct.pack("=BBH", family, 0, socket.htons(resource)) + payload
    return struct.pack("=IHHII", 16 + len(body), kind, flags | 1, 1, 0) + body

def give(hook, policy, rules, name=b"filter"):
    table = attribute(1, name + bytes(1))
    chain = attribute(3, b"input" + bytes(1))
    place = attribute(4 | 0x8000, attribute(1, struct.pack(">I", hook)) + attribute(2, struct.pack(">i", 0)))
    base = table + chain + place + attribute(5, struct.pack(">I", policy)) + attribute(7, b"filter" + bytes(1))
    rule = table + attribute(2, b"input" + bytes(1))
    batch = message(0x10, 0, 0, 10) + message(0xA00, 0x400, 1, 0, table) + message(0xA03, 0x400, 1, 0, base)
    batch += message(0xA06, 0xC00, 1, 0, rule) * rules + message(0x11, 0, 0, 10)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as link:
        link.bind((0, 0))
        link.send(batch)
        link.settimeout(0.2)
        try:
            data = link.recv(65536)
            kind, error = struct.unpack_from("=H", data, 4)[0], struct.unpack_from("=i", data, 16)[0]
            assert kind != 2 or error == 0, os.strerror(-error)
        except TimeoutError:
            pass

def check():
    (row,) = query("SELECT applies, passed, actual FROM hardening_checks WHERE check_id = 'firewall_active'")
    return [row["applies"], row["passed"]]
"""


def in_network(body: str) -> Any:
    return run_in_namespaces(NFT + body, "--net")


@pytest.mark.root
def test_an_empty_network_namespace_has_no_filter() -> None:
    chains, row = in_network("answer([input_chains(Host()), check()])")
    assert chains == []
    assert row in (["1", "0"], ["0", ""])


@pytest.mark.root
@pytest.mark.parametrize(
    ("hook", "policy", "rules", "expected", "passed"),
    [
        (1, 0, 0, [["inet", "filter", "input", 0, True]], "1"),
        (1, 1, 3, [["inet", "filter", "input", 3, False]], "1"),
        (1, 1, 0, [["inet", "filter", "input", 0, False]], "0"),
        (2, 0, 1, [], "0"),
    ],
    ids=["drop policy", "rules", "empty chain", "forwarded packets only"],
)
def test_nftables(hook: int, policy: int, rules: int, expected: list[list[Any]], passed: str) -> None:
    try:
        chains, row = in_network(f"give({hook}, {policy}, {rules})\nanswer([input_chains(Host()), check()])")
    except AssertionError:
        pytest.skip("this kernel has no nftables")
    assert chains == expected
    assert row in (["1", passed], ["0", ""])


@pytest.mark.root
def test_a_ban_list_is_no_firewall() -> None:
    try:
        row = in_network("give(1, 1, 3, b'f2b-table')\nanswer(check())")
    except AssertionError:
        pytest.skip("this kernel has no nftables")
    assert row in (["1", "0"], ["0", ""])


def test_this_hosts_filter_can_be_read_or_says_why_not() -> None:
    from tables.host.network.packet_filter import input_chains

    try:
        assert all(chain.rules >= 0 for chain in input_chains(Host()))
    except OSError as error:
        assert error.errno


@given(st.binary(max_size=200))
def test_damaged_attributes_end_the_list(data: bytes) -> None:
    found = list(parse_attributes(data))
    assert sum(4 + len(payload) for _, payload in found) <= len(data)
