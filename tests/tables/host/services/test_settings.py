from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.network.listeners import Forward, parse_docker_proxy
from tables.host.services.pg_hba import parse_hba
from tables.host.services.redis_config import (
    command_line_directives,
    default_user_needs_password,
    last,
    parse_redis,
    with_includes,
)
from tables.host.services.settings import Entry, option_values, property_entries, python_entries, switch, yaml_entries

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=300) | st.text(
    alphabet="ab \t\n\r\0#:='\"{}[],-&*\\/.", max_size=300
)


def test_yaml() -> None:
    text = "a:\n  b: 'x'\n  c: [1, 2]\nd: &k {e: f}\ng: *k\n"
    assert yaml_entries(text) == [
        Entry("a.b", "x", 2), Entry("a.c", "1", 3), Entry("a.c", "2", 3), Entry("d.e", "f", 4), Entry("g.e", "f", 4),
    ]  # fmt: skip
    assert yaml_entries('{\n\t"a": {"b": true}}') == [Entry("a.b", "true", 2)]
    assert yaml_entries("") == [] == yaml_entries("# nothing\n")
    with pytest.raises(ValueError, match="no YAML"):
        yaml_entries("{[")


def test_yaml_aliases_cannot_multiply() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert len(yaml_entries(text)) <= 5000
    assert yaml_entries("a: &a\n  b: *a\n") == []
    assert len(yaml_entries("[" * 60 + "]" * 60)) == 0


@given(TEXT)
def test_no_text_breaks_a_parser(text: str) -> None:
    lines = text.count("\n") + 1
    with contextlib.suppress(ValueError):
        assert all(entry.line >= 1 for entry in yaml_entries(text))
    for entry in (*property_entries(text), *python_entries(text)):
        assert 1 <= entry.line <= lines
    for directive in parse_redis(text):
        assert directive.keyword == directive.keyword.lower() and directive.line and directive.line <= lines
    for rule in parse_hba(text):
        assert isinstance(rule.is_anywhere, bool) and isinstance(rule.is_loopback, bool) and rule.line <= lines


def test_properties() -> None:
    assert property_entries("# a = 1\n[x]\nb = 2 # two\nc: '3 # x'\nUID 4\n") == [
        Entry("b", "2", 3), Entry("c", "3 # x", 4), Entry("UID", "4", 5),
    ]  # fmt: skip


def test_options() -> None:
    argv = ["x", "--host=a", "--host", "b", "--tls", "--verify=false", "--host"]
    assert option_values(argv, "--host") == ["a", "b", ""]
    assert (switch(argv, "--tls"), switch(argv, "--verify"), switch(argv, "--other")) == (True, False, None)


def test_redis_directives() -> None:
    files = {"/a": "port 1\ninclude /b\nBIND 1.2.3.4 -::1\n", "/b": 'include /a\nrequirepass "a b"\nport 2\n'}
    found = with_includes("/a", files.get)
    assert [(entry.keyword, entry.arguments, entry.path, entry.line) for entry in found] == [
        ("port", ("1",), "/a", 1),
        ("requirepass", ("a b",), "/b", 2),
        ("port", ("2",), "/b", 3),
        ("bind", ("1.2.3.4", "-::1"), "/a", 3),
    ]
    port = last(found, "port")
    assert port is not None and port.value == "2"
    options = command_line_directives(["redis-server", "--port", "7", "--appendonly", "no"])
    assert [entry.keyword for entry in options] == [
        "port",
        "appendonly",
    ]


@pytest.mark.parametrize(
    ("rules", "answer"),
    [
        ("", None),
        ("user default on nopass", False),
        ("user default on >x", True),
        ("user default off nopass", True),
        ("user bob on >x", None),
    ],
)
def test_redis_default_user(rules: str, answer: bool | None) -> None:
    assert default_user_needs_password(parse_redis(rules)) is answer


def test_hba_rules() -> None:
    text = """local all all trust
host "my db",b +grp,u 10.0.0.0 255.0.0.0 md5 # x
hostssl all all samehost trust
host all all ::/0 trust
host
"""
    found = parse_hba(text)
    assert [(rule.address, rule.method, rule.is_loopback, rule.is_anywhere, rule.line) for rule in found] == [
        ("10.0.0.0/255.0.0.0", "md5", False, False, 2), ("samehost", "trust", True, False, 3), ("::/0", "trust", False, True, 4),
    ]  # fmt: skip


def test_docker_proxy() -> None:
    words = "docker-proxy -proto {} -host-ip 0.0.0.0 -host-port {} -container-ip 172.17.0.2 -container-port 80 -use-listen-fd"
    assert parse_docker_proxy(words.format("tcp", 8080).split()) == Forward("0.0.0.0", 8080, "172.17.0.2", 80)
    assert parse_docker_proxy(words.format("udp", 8080).split()) is None
    assert parse_docker_proxy(words.format("tcp", "x").split()) is None
    assert parse_docker_proxy([]) is None
