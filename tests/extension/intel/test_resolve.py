"""`resolve` against a name server of the test on loopback: answers become dated ip:port entries."""

from __future__ import annotations

import datetime
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from tables.host import Host
from tables.host.settings import Settings
from tables.indicators.pools import builtin_indicators, pool_indicators
from tests.extension.intel.conftest import Intel

TODAY = datetime.datetime.now(datetime.timezone.utc).date()
ZONE = {
    "pool.supportxmr.com.": ["5.189.171.187", "5.189.171.188", "2a01:4f8::1"],
    "pool.evil.com.": ["94.23.1.1", "104.16.1.1", "10.0.0.1", "0.0.0.0"],
    "cdn.evil.com.": ["104.16.1.1"],
    "empty.evil.com.": [],
}


class NameServer:
    """Answers from ZONE over UDP; names with `broken` fail, with `silent` are not answered; counts what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            data, client = self.socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            name, kind = query.question[0].name.to_text(), query.question[0].rdtype
            self.asked.append(name)
            if "silent" in name:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if "broken" in name:
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif name not in ZONE:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            found = [text for text in ZONE.get(name, []) if (":" in text) == (kind == 28)]
            if found:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
            self.socket.sendto(answer.to_wire(), client)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def entries(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def test_names_become_dated_addresses_with_the_ports_of_the_pool(
    intel: Intel, server: NameServer, lists: Path, config: Path
) -> None:
    result = intel("resolve", "--nameserver", server.address, "pool.supportxmr.com")
    assert result.exit_code == 0, result.output
    note = f"  # resolved pool.supportxmr.com {TODAY}"
    # 443, where the pool's own web site may answer, is not among them.
    assert entries(lists / "resolved.txt") == [
        f"{address}:{port}{note}"
        for address in ("5.189.171.187", "5.189.171.188", "[2a01:4f8::1]")
        for port in (3333, 5555, 7777)
    ]
    assert f"# feed: resolved\n# kind: pools\n# date: {TODAY}\n" in (lists / "resolved.txt").read_text()
    custom = [listed for _, listed in pool_indicators(Host(settings=Settings(config=str(config)))) if listed.is_custom]
    assert {(listed.pool, listed.coin, listed.updated) for listed in custom} == {("SupportXMR", "XMR", TODAY.isoformat())}
    assert intel("check").exit_code == 0


def test_a_port_may_be_given_and_unfit_addresses_are_named(intel: Intel, server: NameServer, lists: Path) -> None:
    result = intel("resolve", "--nameserver", server.address, "pool.evil.com:443", "hxxps://pool[.]supportxmr[.]com")
    assert result.exit_code == 0
    assert f"94.23.1.1:443  # resolved pool.evil.com {TODAY}" in entries(lists / "resolved.txt")
    assert "pool.evil.com: 104.16.1.1 left out: in a range that cloudflare shares" in result.stdout
    assert "pool.evil.com: 10.0.0.1 left out: a private address" in result.stdout
    assert "2 names, 10 entries, 3 left out" in result.stdout


def test_what_fails_is_named_and_the_rest_is_written(intel: Intel, server: NameServer, lists: Path) -> None:
    result = intel(
        "resolve",
        "--nameserver",
        server.address,
        "--timeout",
        "0.5",
        "pool.evil.com:1",
        "gone.evil.com:1",
        "broken.evil.com:1",
        "silent.evil.com:1",
        "empty.evil.com:1",
        "unknown.evil.com",
        "5.189.171.187",
        "co.uk:1",
        "???",
    )
    assert result.exit_code == 1
    for line in (
        "gone.evil.com: no such name",
        "silent.evil.com: no answer to A in time",
        "empty.evil.com: it has no addresses",
        "unknown.evil.com: no port is known for it; give NAME:PORT",
        "5.189.171.187: an address, not a name",
        "co.uk:1: a public suffix",
        "broken.evil.com: ",
        "???: ",
    ):
        assert line in result.stderr
    assert entries(lists / "resolved.txt") == [f"94.23.1.1:1  # resolved pool.evil.com {TODAY}"]


def test_nothing_found_changes_nothing(intel: Intel, server: NameServer, lists: Path) -> None:
    for name in ("gone.evil.com:1", "cdn.evil.com:1"):
        assert intel("resolve", "--nameserver", server.address, name).exit_code == 2
    assert not lists.exists()
    for arguments in (
        (),
        ("--all", "x.com:1"),
        ("--nameserver", "example.com", "x.com:1"),
        ("--nameserver", "1.2.3.4:x", "x.com:1"),
    ):
        assert intel("resolve", *arguments).exit_code == 2


def test_earlier_answers_stay_listed_for_a_week(intel: Intel, server: NameServer, lists: Path) -> None:
    lists.mkdir()
    dates = {days: (TODAY - datetime.timedelta(days)).isoformat() for days in (3, 30)}
    (lists / "resolved.txt").write_text(
        f"94.23.1.1:1  # resolved pool.evil.com {dates[3]}\n"
        f"94.23.1.2:1  # resolved pool.evil.com {dates[3]}\n"
        f"94.23.1.3:1  # resolved pool.evil.com {dates[30]}\n"
        "94.23.1.4:1\n"
    )
    assert intel("resolve", "--nameserver", server.address, "pool.evil.com:1").exit_code == 0
    assert entries(lists / "resolved.txt") == [
        f"94.23.1.1:1  # resolved pool.evil.com {TODAY}",
        f"94.23.1.2:1  # resolved pool.evil.com {dates[3]}",
    ]


def test_all_asks_for_every_name_of_which_a_port_is_known(intel: Intel, server: NameServer, lists: Path) -> None:
    result = intel("resolve", "--nameserver", server.address, "--all")
    assert result.exit_code == 1 and "pool.supportxmr.com" in (lists / "resolved.txt").read_text()
    assert {"pool.supportxmr.com.", "xmr-eu1.nanopool.org.", "gulf.moneroocean.stream."} <= set(server.asked)
    assert {name.rstrip(".") for name in server.asked} <= set(builtin_indicators().domains)
