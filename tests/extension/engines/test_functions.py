"""osquery's SQL functions: the recorded results, its NULLs and errors, and independent truth for the rest."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import math

import apsw
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from extension.engines.functions import in_cidr_block, register_functions
from extension.engines.regex import RegexError, compile_regex
from extension.engines.versions import FLAVOURS, compare_versions
from tables.host import Host


@pytest.fixture(scope="module")
def db() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    register_functions(connection)
    return connection


def value(db: apsw.Connection, expression: str, *bindings: object) -> object:
    ((found,),) = db.execute(f"SELECT {expression}", bindings)
    return found


def test_as_recorded() -> None:
    rows = EmbeddedEngine(Host()).query(
        "SELECT regex_match('a-12-b','([0-9]+)',1) m, split('a b c',' ',1) s, concat('a',NULL,'b') c, "
        "regex_split('a1b','[0-9]',1) r, concat_ws(',', 'a', NULL, 'b') w, sha256('x') h"
    )
    assert rows == [
        {"c": "ab", "h": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "m": "12", "r": "b", "s": "b",
         "w": "a,b"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("regex_match('abc', 'x', 0)", None),
        ("regex_match('abc', '(b)(x)?', 2)", ""),
        ("regex_match('abc', 'b', 1)", None),
        ("regex_match('abc', 'b', -1)", None),
        ("regex_match(NULL, 'b', 0)", None),
        ("regex_match('abc', NULL, 0)", None),
        ("regex_match('abc', 'b', NULL)", None),
        ("regex_match(12.5, '[0-9]+', '0')", "12"),
        (r"regex_match('a' || char(10), 'a$', 0)", None),
        (r"regex_match('a' || char(13) || 'b', 'a.b', 0)", None),
        ("regex_match('Ab1_', '[[:upper:]][[:alpha:]][[:digit:]]', 0)", "Ab1"),
        ("regex_match('٣', '\\d', 0)", None),
        ("regex_match('a]b', '[^\\]]+', 0)", "a"),
        ("regex_match('x[y', '[a-z[]+', 0)", "x[y"),
        ("regex_match('aaa', 'a{2}?', 0)", "aa"),
        ("regex_match('ab12', '(?:ab)(?=1)', 0)", "ab"),
        ("split('a.b', '.', 5)", None),
        ("split('a, b;c', ',;', 1)", "b"),
        ("split(',,a', ',', 0)", "a"),
        ("split('a', ',', -1)", None),
        ("split(NULL, ',', 0)", None),
        ("regex_split('1a2', '[0-9]', 0)", ""),
        ("regex_split('a1', '[0-9]', 1)", None),
        ("regex_split('', 'x', 0)", ""),
        ("concat()", None),
        ("concat(NULL)", ""),
        ("concat(1, 2.0, 'x')", "12.0x"),
        ("concat_ws('-', 'a', NULL)", "a-"),
        ("concat_ws('-', NULL, 'a')", "a"),
        ("concat_ws(NULL, 'a', 'b')", "ab"),
        ("concat_ws('-', 'a', 'b', 'c')", "a-b-c"),
        ("concat_ws('-')", None),
        ("inet_aton('1.2.3.4')", 16909060),
        ("inet_aton('::1')", None),
        ("inet_aton('1.2.3')", None),
        ("inet_aton(NULL)", None),
        ("in_cidr_block('10.0.0.0/26', '10.0.0.24')", 1),
        ("in_cidr_block('198.51.100.14/24', '198.51.100.14')", 1),
        ("in_cidr_block('2a00:a040:019e:f12a::/64', '2a00:a040:19e:f12a:658b:3589:b2ba:71a3')", 1),
        ("in_cidr_block('2001:db8::/48', '2001:db8:0:ffff:ffff:ffff:ffff:ffff')", 1),
        ("in_cidr_block('10.0.0.0/8', '11.0.0.1')", 0),
        ("in_cidr_block('10.0.0.0/8', '10.0.0.0')", 0),
        ("in_cidr_block('10.0.0.0/8', '10.255.255.255')", 0),
        ("in_cidr_block('10.0.0.7/32', '10.0.0.7')", 1),
        ("in_cidr_block('10.0.0.6/31', '10.0.0.7')", 0),
        ("parent_directory('/etc/passwd')", "/etc"),
        ("parent_directory('/etc')", ""),
        ("parent_directory('etc')", None),
        ("to_base64('abc')", "YWJj"),
        ("to_base64('')", ""),
        ("to_base64(NULL)", None),
        ("from_base64('YWJj')", "abc"),
        ("from_base64('YW' || char(10) || 'I')", "ab"),
        ("from_base64('not base64!')", ""),
        ("from_base64(NULL)", None),
        ("conditional_to_base64('plain ~')", "plain ~"),
        ("conditional_to_base64('é')", "w6k="),
        ("md5(NULL)", None),
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("sha1(1)", hashlib.sha1(b"1").hexdigest()),
        ("ceil(1.2)", 2),
        ("floor(-1.2)", -2),
        ("ceil(7)", 7),
        ("floor(NULL)", None),
        ("ceil(1e300)", -(1 << 63)),
        ("typeof(ceil('1.5x'))", "integer"),
        ("sqrt(16)", 4.0),
        ("sqrt(NULL)", None),
        ("power(2, 10)", 1024.0),
        ("pi()", math.pi),
        ("log10(1000)", pytest.approx(3.0)),
        ("log(exp(2))", pytest.approx(2.0)),
        ("exp(1000)", math.inf),
        ("degrees(radians(90))", pytest.approx(90.0)),
    ],
)
def test_values(db: apsw.Connection, expression: str, expected: object) -> None:
    assert value(db, expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("split('a', '', 0)", "Invalid input to split function"),
        ("regex_match('a', '(', 0)", "Invalid regex"),
        ("regex_match('a', 'a{', 0)", "Invalid regex"),
        ("regex_match('a', '(?i)A', 0)", "Invalid regex"),
        ("regex_match('a', '(?<=x)a', 0)", "Invalid regex"),
        ("regex_match('a', '[[:nope:]]', 0)", "Invalid regex"),
        ("regex_split('a', '*', 0)", "Invalid regex"),
        (f"regex_match('a', '{'a' * 257}', 0)", "Invalid regex: too big, max size is 256 bytes"),
        ("concat_ws()", "Missing separator to concat_ws"),
        ("in_cidr_block(NULL, '1.2.3.4')", "CIDR must be a string"),
        ("in_cidr_block('10.0.0.0/8', NULL)", "IP address must be a string"),
        ("in_cidr_block('10.0.0.0/8', 'x')", "IP address cannot be parsed"),
        ("in_cidr_block('10.0.0.0', '10.0.0.1')", "CIDR for IP address v4 cannot be parsed"),
        ("in_cidr_block('10.0.0.0/8', '::1')", "CIDR for IP address v6 cannot be parsed"),
        ("parent_directory(NULL)", "Invalid inputs to parent_directory"),
        ("version_compare('1')", "Must provide two version strings"),
        ("version_compare('1', '2', 'SUSE')", "does not match one of"),
        ("sqrt(-1)", "Numerical argument out of domain"),
        ("log(0)", "Numerical result out of range"),
    ],
)
def test_errors_reach_the_user(expression: str, message: str) -> None:
    with pytest.raises(EngineError, match=message.replace("(", r"\(")):
        EmbeddedEngine(Host()).query(f"SELECT {expression}")


def test_longest_regex_is_accepted(db: apsw.Connection) -> None:
    assert value(db, "regex_match(?, ?, 0)", "a" * 300, "a" * 256) == "a" * 256


@pytest.mark.parametrize(
    ("left", "right", "flavour", "expected"),
    [
        ("1.0", "1.0", "", 0),
        ("1.9", "1.10", "", -1),
        ("2", "1.5", "", 1),
        ("1.0.1", "1.0", "", 1),
        ("1:1.0", "2.0", "DPKG", 1),
        ("1:1.0", "2.0", "", -1),
        ("1.0~rc1", "1.0", "RHEL", -1),
        ("1.0~rc1", "1.0", "DPKG", 1),
        ("1.0^git", "1.0", "RHEL", 1),
        ("1.0-2", "1.0", "RHEL", 0),
        ("1.0-2", "1.0", "DPKG", 1),
        ("1.0a", "1.0", "ARCH", 1),
        ("", "1", "", -1),
        ("", "", "", 0),
    ],
)
def test_versions(db: apsw.Connection, left: str, right: str, flavour: str, expected: int) -> None:
    arguments = [left, right, flavour.lower()] if flavour else [left, right]
    assert value(db, f"version_compare({','.join('?' * len(arguments))})", *arguments) == expected
    assert compare_versions(right, left, FLAVOURS[flavour]) == -expected
    collation = f"version_{flavour.lower()}" if flavour else "version"
    assert value(db, f"? < ? COLLATE {collation}", left, right) == (expected < 0)


@given(st.text(), st.sampled_from(sorted(FLAVOURS)))
def test_a_version_equals_itself(version: str, flavour: str) -> None:
    assert compare_versions(version, version, FLAVOURS[flavour]) == 0


@given(st.ip_addresses(v=4), st.integers(0, 30), st.integers(0, (1 << 32) - 1), st.booleans())
def test_blocks_agree_with_the_standard_library(base: ipaddress.IPv4Address, prefix: int, other: int, inside: bool) -> None:
    network = ipaddress.ip_network(f"{base}/{prefix}", strict=False)
    address = network[other % network.num_addresses] if inside else ipaddress.IPv4Address(other)
    assume(address not in (network.network_address, network.broadcast_address))
    assert in_cidr_block(f"{base}/{prefix}", str(address)) == (address in network)


@given(st.binary())
def test_base64_agrees_with_the_standard_library(data: bytes) -> None:
    connection = apsw.Connection(":memory:")
    register_functions(connection)
    assert value(connection, "to_base64(?)", data) == base64.b64encode(data).decode()
    assert value(connection, "from_base64(?)", base64.b64encode(data).decode()) == data.decode("utf-8", "backslashreplace")


@given(
    st.lists(st.sampled_from([*"abc[](){}|^$.*+?\\-:,019", "[:alpha:]", "\\d", "(?:", "é"]), max_size=12).map("".join),
    st.text("ab01\n"),
)
def test_any_pattern_matches_or_is_refused(pattern: str, text: str) -> None:
    try:
        compiled = compile_regex(pattern)
    except RegexError:
        return
    compiled.search(text)
