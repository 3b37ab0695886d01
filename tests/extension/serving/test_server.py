"""The extension process at osquery's wire: what it registers, answers, survives, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from osquery.extensions.Extension import Client
from osquery.extensions.ExtensionManager import Processor
from osquery.extensions.ttypes import ExtensionResponse, ExtensionStatus, InternalExtensionInfo
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TMemoryBuffer, TTransportException

import tables
from extension.pack.known_good import expanded
from extension.serving.protocol import Protocol, Response
from extension.serving.registration import Core, CoreError
from extension.serving.server import Handler
from extension.serving.start import is_extension_start
from tables.schema import EQUALS, MAX_TEXT
from tests.support.osquery_wire import (
    EXTENSION,
    PATIENCE_SECONDS,
    REPOSITORY,
    TEST_TABLES,
    Wire,
    client,
    wait_until,
    wire_in_folder,
)

ROUTE = {"id": "column", "name": "c", "type": "TEXT", "op": "0"}


class RawProtocol(TBinaryProtocol):
    """Writes surrogates as the bytes they stand for, as osquery does with what is no UTF-8."""

    def writeString(self, text: str) -> None:
        self.writeBinary(os.fsencode(text))


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wire_in_folder() as wire:
        yield wire


def call(wire: Wire, registry: str, item: str, request: dict[str, str]) -> Any:
    """The ExtensionResponse of one call made at the extension's own socket."""
    with client(wire.extension_socket) as extension:
        return extension.call(registry, item, request)


def table_calls(wire: Wire, name: str) -> tuple[int, int]:
    """Calls of a test table and the scans made for them."""
    (row,) = wire.query(f"SELECT calls, scans FROM scans WHERE table_name = '{name}'")
    return int(row["calls"]), int(row["scans"])


# What is registered.


def test_all_tables_are_registered_with_their_columns(wire: Wire) -> None:
    wire.start()
    found = tables.discover()
    assert set(wire.core.routes) == set(found)
    for name, table in found.items():
        assert wire.core.routes[name][1] == [
            {"id": "column", "name": column.name, "type": column.type, "op": str(column.options)} for column in table.columns
        ]
    info = wire.core.extensions_by_uuid[wire.uuid]
    assert (info.name, info.sdk_version.split(".")[0].isdigit()) == ("minehunt", True)


def test_the_real_extension_answers_sql(wire: Wire) -> None:
    wire.start()
    rows = wire.query("SELECT table_name FROM minehunt_status ORDER BY table_name")
    assert [row["table_name"] for row in rows] == sorted(tables.discover())


def test_nothing_is_logged_when_all_is_well(wire: Wire) -> None:
    process = wire.start()
    wire.query("SELECT * FROM minehunt_status")
    process.popen.terminate()
    assert (process.wait(), process.stderr) == (0, "")


def test_only_the_owner_may_connect(wire: Wire) -> None:
    wire.start()
    mode = os.stat(wire.extension_socket).st_mode
    assert stat.S_ISSOCK(mode)
    assert not mode & 0o077


# The start.


def test_unknown_arguments_are_tolerated(wire: Wire) -> None:
    process = wire.start("--verbose", "--extensions_default_index=false", "--no_such_flag", "value", "stray")
    wait_until(lambda: "registered" in process.stderr, "--verbose has its effect all the same")


def test_the_command_line_starts_it_too(wire: Wire) -> None:
    process = wire.start("--no_such_flag", program=(*EXTENSION, "extension"))
    process.popen.terminate()
    assert (process.wait(), process.stderr) == (0, "")


def test_osquerys_socket_may_come_late(wire: Wire) -> None:
    wire.core.stop()
    process = wire.spawn()
    late = Wire(wire.folder)
    late.core.start()
    try:
        late.wait_served(process)
    finally:
        late.core.stop()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--socket", "/nonexistent/osquery.em", "--timeout", "0.2"], "there is no socket at /nonexistent/osquery.em"),
        (["--socket", "/" + "x" * 102, "--timeout", "0.2"], "is too long: at most 101 bytes fit"),
        (["--socket", str(REPOSITORY / "README"), "--timeout", "soon"], "argument --timeout"),
    ],
)
def test_a_start_that_fails_says_why(arguments: list[str], message: str) -> None:
    done = subprocess.run([*EXTENSION, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, -signal.SIGKILL)
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--socket", "/s", "--timeout", "3", "--interval", "3"], True),
        (["--verbose", "--socket=/s"], True),
        (["--unknown", "value", "--socket", "/s"], True),
        (["triage", "--engine", "osquery", "--socket", "/s"], False),
        (["query", "SELECT '--socket'"], False),
        (["--version"], False),
        ([], False),
    ],
)
def test_osquerys_arguments_are_told_from_a_users(arguments: list[str], expected: bool) -> None:
    assert is_extension_start(arguments) is expected


@pytest.mark.root
def test_without_permission_the_message_says_so(wire: Wire) -> None:
    # The interpreter itself may be out of an ordinary user's reach, so the process drops its rights after the imports.
    program = (
        "import os, sys\nfrom extension.serving import server\nfrom extension.serving.logs import configure_logging\n"
        "from extension.serving.workers import Workers\nimport tables\nfrom tables.host import Host\n"
        "workers = Workers(tables.discover(), Host())\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); configure_logging(verbose=False)\n"
        f"sys.exit(server.serve(workers, {wire.socket!r}, timeout=0.2))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no permission to connect to osquery at {wire.socket}" in done.stderr


def test_a_second_extension_gives_up_and_leaves_the_first_alone(wire: Wire) -> None:
    wire.start()
    second = wire.spawn()
    assert second.wait() == 1
    assert "Duplicate extension registered" in second.stderr.splitlines()[-1]
    assert wire.query("SELECT count(*) AS n FROM minehunt_status") == [{"n": str(len(tables.discover()))}]


def test_a_successor_of_a_killed_extension_registers_once_core_noticed(wire: Wire) -> None:
    first = wire.start()
    left_behind = wire.extension_socket
    first.end()
    assert os.path.exists(left_behind)
    # A long interval: the successor still has tries left when core notices.
    successor = wire.spawn(interval=1.0)
    wait_until(lambda: "still registered" in successor.stderr, "the successor is refused at first")
    wire.core.ping_extensions()
    wire.wait_served(successor)
    assert wire.query("SELECT 1 AS one FROM minehunt_status LIMIT 1") == [{"one": "1"}]


def test_sockets_of_killed_extensions_of_ours_are_removed_and_nobody_elses(wire: Wire) -> None:
    first = wire.start()
    ours = wire.extension_socket
    first.end()
    wire.core.ping_extensions()
    wire.core.next_uuid = 4711
    foreign = f"{wire.socket}.1"
    other_name = f"{wire.socket}.backup"
    with socket.socket(socket.AF_UNIX) as living:
        for path in (foreign, other_name):
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path)
        os.chmod(other_name, 0o1700)
        # Listening, and marked as one of ours: an extension that serves another core, say, or is stopped.
        living.bind(f"{wire.socket}.2")
        living.listen()
        os.chmod(f"{wire.socket}.2", 0o1700)
        Path(f"{wire.socket}.3").write_text("no socket")
        os.chmod(f"{wire.socket}.3", 0o1700)
        wire.start()
        wait_until(lambda: not os.path.exists(ours), "the dead socket goes")
        assert [os.path.exists(path) for path in (foreign, other_name, f"{wire.socket}.2", f"{wire.socket}.3")] == [True] * 4
    assert os.path.exists(wire.extension_socket)


def test_a_socket_file_left_behind_is_replaced(wire: Wire) -> None:
    wire.core.next_uuid = 4711
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{wire.socket}.4711")
    wire.spawn()
    wait_until(lambda: wire.core.uuid_of("minehunt"), "the extension registers")
    with client(f"{wire.socket}.4711") as extension:
        assert extension.ping().uuid == 4711


def test_a_table_whose_name_is_taken_is_left_out(wire: Wire) -> None:
    process = wire.start("--tables", "numbered,uptime", program=TEST_TABLES)
    assert set(wire.core.routes) == {"numbered"}
    assert "uptime" in process.stderr
    assert wire.query("SELECT square FROM numbered WHERE number = 7") == [{"square": "49"}]
    assert "not osquery's" not in str(wire.query("SELECT * FROM uptime"))


def test_a_table_taken_by_another_extension_is_left_out(wire: Wire) -> None:
    with client(wire.socket) as core:
        other = InternalExtensionInfo(name="other", version="1", sdk_version="5.0.0", min_sdk_version="1.8.0")
        assert core.registerExtension(other, {"table": {"echo": [ROUTE], "hostile": [ROUTE]}}).code == 0
    wire.start("--tables", "echo,hostile,numbered", program=TEST_TABLES)
    assert [name for name, (uuid, _) in wire.core.routes.items() if uuid == wire.uuid] == ["numbered"]


def test_when_every_name_is_taken_the_start_fails(wire: Wire) -> None:
    process = wire.spawn("--tables", "uptime", program=TEST_TABLES)
    assert process.wait() == 1
    assert "for every table" in process.stderr


# The answers.


def test_calls_that_make_no_sense_are_answered_with_a_message(wire: Wire) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    for registry, item, action, message in (
        ("config", "numbered", "generate", "unknown registry: config"),
        ("table", "nonsense", "generate", "unknown table: nonsense"),
        ("table", "numbered", "dance", "numbered: unknown action: dance"),
        ("table", "numbered", "", "numbered: unknown action: "),
    ):
        answer = call(wire, registry, item, {"action": action})
        assert (answer.status.code, answer.status.message, answer.response) == (1, message, [])
    assert call(wire, "table", "numbered", {}).status.code == 1


@pytest.mark.parametrize(
    "context",
    [None, "", "not JSON", "[]", "{}", '{"constraints": null, "colsUsed": null}', '{"constraints": [7], "colsUsed": 7}'],
)
def test_a_context_that_says_nothing_gets_all_rows(wire: Wire, context: str | None) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    request = {"action": "generate"} if context is None else {"action": "generate", "context": context}
    assert len(call(wire, "table", "numbered", request).response) == 1000


def test_a_call_that_breaks_the_handler_is_an_error_not_an_empty_answer(caplog: pytest.LogCaptureFixture) -> None:
    # A runner without methods stands for any defect.
    runners: Any = {"numbered": object()}
    answer = Handler(7, runners).call("table", "numbered", {"action": "generate"})
    assert (answer.status.code, answer.response) == (1, [])
    assert answer.status.message.startswith("numbered: internal error: AttributeError")
    assert len(caplog.records) == 1


def test_columns_are_answered_as_they_were_registered(wire: Wire) -> None:
    wire.start("--tables", "wire", program=TEST_TABLES)
    assert call(wire, "table", "wire", {"action": "columns"}).response == wire.core.routes["wire"][1]


def test_writing_is_refused(wire: Wire) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    for action in ("insert", "update", "delete"):
        answer = call(wire, "table", "numbered", {"action": action, "context": "{}", "json_value_array": "[]"})
        assert (answer.status.code, answer.response) == (0, [{"status": "readonly"}])
    for sql in (
        "INSERT INTO numbered VALUES (1, 1)",
        "UPDATE numbered SET square = 0 WHERE number = 1",
        "DELETE FROM numbered WHERE number = 1",
    ):
        assert wire.error(sql) == "table numbered may not be modified"


def test_hostile_strings_arrive_as_clean_text(wire: Wire) -> None:
    wire.start("--tables", "hostile", program=TEST_TABLES)
    texts = [row["text"] for row in wire.query("SELECT text FROM hostile")]
    assert texts[:6] == [
        r"\xff\xfe\xed\xa0\x80 not UTF-8",
        r"lone surrogate \udc80\ud800",
        r"NUL \x00 inside",
        r"\x1B[2J\x1B]0;title\x07",
        r"line\x0Abreak\x0D\x09tab",
        r"right-to-left \u202E override",
    ]
    assert len(texts[6]) == MAX_TEXT
    assert texts[7:] == [""]
    assert wire.query("SELECT count(*) AS n FROM hostile WHERE text = ''") == [{"n": "1"}]


def test_a_comparison_with_bytes_that_are_no_utf8_reaches_the_table(wire: Wire) -> None:
    wire.start("--tables", "echo", program=TEST_TABLES)
    transport = TBufferedTransport(TSocket(unix_socket=wire.extension_socket))
    transport.open()
    try:
        context = '{"constraints": [{"name": "text", "list": [{"op": 2, "expr": "/tmp/\udcff\udc80"}]}]}'
        answer = Client(RawProtocol(transport)).call("table", "echo", {"action": "generate", "context": context})
    finally:
        transport.close()
    assert answer.status.message == "echo: " + b"/tmp/\xff\x80".hex()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("raising", r"raising: internal error: ValueError: a defect\x0Awith \x1B[31mtwo lines\xff"),
        ("failing", r"failing: [Errno 13] Permission denied: '/etc/hostile\n\x1b[31m'"),
    ],
)
def test_a_failing_scan_is_an_error_with_its_reason_and_no_rows(wire: Wire, table: str, message: str) -> None:
    wire.start("--tables", "raising,failing,numbered", program=TEST_TABLES)
    assert wire.error(f"SELECT * FROM {table}") == message
    assert wire.error(f"SELECT n.number FROM numbered n LEFT JOIN {table} t ON t.text = n.number") == message
    assert wire.query("SELECT square FROM numbered WHERE number = 2") == [{"square": "4"}]


def test_a_defect_is_logged_on_one_line(wire: Wire) -> None:
    process = wire.start("--tables", "raising", program=TEST_TABLES)
    wire.error("SELECT * FROM raising")
    (line,) = process.stderr.splitlines()
    assert line.isprintable()
    assert "ValueError" in line
    assert "serve_tables.py" in line


def test_bytes_that_are_no_thrift_do_no_harm(wire: Wire) -> None:
    process = wire.start("--tables", "numbered", program=TEST_TABLES)
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\x80\x01\x00\x01\x7f\xff\xff\xff", b"\xff" * 4096, b""):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(wire.extension_socket)
            peer.sendall(garbage)
    assert wire.query("SELECT count(*) AS n FROM numbered") == [{"n": "1000"}]
    assert process.popen.poll() is None


def test_oversized_requests_are_refused_before_they_are_read(wire: Wire) -> None:
    process = wire.start("--tables", "numbered", program=TEST_TABLES)
    before = _peak_kib(process.popen.pid)
    for request in (
        {"action": "generate", "context": "x" * (2 << 20)},
        {str(number): "x" * (1 << 20) for number in range(5)},
        {str(number): "" for number in range(20_000)},
    ):
        with client(wire.extension_socket) as extension, pytest.raises((TTransportException, OSError)):
            extension.call("table", "numbered", request)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _send_large_string(wire.extension_socket), range(8)))
    assert wire.query("SELECT count(*) AS n FROM numbered") == [{"n": "1000"}]
    assert process.popen.poll() is None
    assert _peak_kib(process.popen.pid) - before < 20 << 10


def test_a_context_of_a_thousand_paths_is_read(wire: Wire) -> None:
    wire.start("--tables", "echo", program=TEST_TABLES)
    paths = [f"/usr/lib/x86_64-linux-gnu/{number:05}" for number in range(10_000)]
    terms = [{"op": EQUALS, "expr": path} for path in paths]
    context = json.dumps({"constraints": [{"name": "value", "list": terms, "affinity": "TEXT"}]})
    assert call(wire, "table", "echo", {"action": "generate", "context": context}).status.code == 0


def test_contexts_that_cannot_be_read_ask_for_everything(wire: Wire) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    for context in (
        "[" * 100_000,
        '{"constraints": [{"name": "n", "list": [{"op": 1e999, "expr": ""}]}]}',
        '{"constraints":' * 60_000,
        '{"constraints": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ):
        answer = call(wire, "table", "numbered", {"action": "generate", "context": context})
        assert (answer.status.code, len(answer.response)) == (0, 1000)


def _send_large_string(path: str) -> None:
    """Announce a string of 64 MiB, and send it for as long as it is taken."""
    with socket.socket(socket.AF_UNIX) as peer, contextlib.suppress(OSError):
        peer.connect(path)
        peer.sendall(struct.pack("!ii4sib", -2147418111, 4, b"call", 1, 11) + struct.pack("!hi", 1, 64 << 20))
        peer.sendall(b"x" * (64 << 20))


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)[0])


@pytest.mark.parametrize("rows", [[], [{}], [{"path": "/opt/矿池", "pid": "1"}, {"pid": "2", "path": ""}]])
def test_rows_are_written_as_thrift_writes_them(rows: list[dict[str, str]]) -> None:
    status = ExtensionStatus(code=0, message="OK", uuid=7)
    ours, theirs = TMemoryBuffer(), TMemoryBuffer()
    Response(status=status, response=rows).write(Protocol(ours))
    ExtensionResponse(status=status, response=rows).write(Protocol(theirs))
    assert ours.getvalue() == theirs.getvalue()


# Scans and concurrency.


def test_a_join_over_500_rows_costs_one_scan(wire: Wire) -> None:
    wire.start("--tables", "numbered,scans", program=TEST_TABLES)
    rows = wire.query(
        "WITH RECURSIVE o(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM o WHERE i < 500) "
        "SELECT count(*) AS n, sum(square) AS total FROM o CROSS JOIN numbered ON number = i"
    )
    assert rows == [{"n": "500", "total": str(sum(i * i for i in range(1, 501)))}]
    assert wire.generate_requests("numbered") == 500
    assert table_calls(wire, "numbered") == (500, 1)


def test_what_is_normal_is_asked_for_once_whatever_is_compared_with_it(wire: Wire) -> None:
    wire.start()
    rows = wire.query(expanded("SELECT pid FROM process_tree WHERE {known_good}", {"process": "coalesce(exe_path, '')"}))
    assert len(rows) > 1
    assert wire.generate_requests("known_good") == 1


def test_an_in_list_is_one_call_and_gives_its_rows(wire: Wire) -> None:
    wire.start("--tables", "numbered,scans", program=TEST_TABLES)
    rows = wire.query("SELECT square FROM numbered WHERE number IN (3, 5, 7, 5000)")
    assert [row["square"] for row in rows] == ["9", "25", "49"]
    assert wire.generate_requests("numbered") == 1


def test_a_limit_is_no_value_of_the_first_column(wire: Wire) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    assert len(wire.query("SELECT * FROM numbered LIMIT 10")) == 10
    assert len(wire.query("SELECT * FROM numbered LIMIT 10 OFFSET 995")) == 5


def test_a_required_column_must_be_given(wire: Wire) -> None:
    wire.start("--tables", "wire_required", program=TEST_TABLES)
    assert wire.error("SELECT * FROM wire_required") == (
        "Table wire_required was queried without a required column in the WHERE clause"
    )
    assert wire.query("SELECT * FROM wire_required WHERE path = '/x'") == [{"path": "/x", "v": "x"}]


def test_everything_else_is_answered_while_a_scan_runs(wire: Wire) -> None:
    wire.start("--tables", "slow,numbered,scans", program=TEST_TABLES)
    with ThreadPoolExecutor(12) as pool:
        # The slow scan ends only when this test says so: whatever is answered before is answered during the scan.
        answer = pool.submit(wire.query, "SELECT text FROM slow")
        wait_until(lambda: os.path.exists(f"{wire.socket}.slow"), "the slow scan begins")

        def ping(_: int) -> Any:
            with client(wire.extension_socket) as extension:
                return extension.ping()

        assert [status.code for status in pool.map(ping, range(50), timeout=20)] == [0] * 50
        others = [pool.submit(wire.query, f"SELECT square FROM numbered WHERE number = {n}") for n in range(5)]
        assert [other.result(20) for other in others] == [[{"square": str(n * n)}] for n in range(5)]
        waiting = pool.submit(wire.query, "SELECT text FROM slow")
        wait_until(lambda: wire.generate_requests("slow") == 2, "a second query of the slow table arrives")
        assert not answer.done()
        assert not waiting.done()

        Path(f"{wire.socket}.release").touch()
        assert answer.result(20) == waiting.result(20) == [{"text": "released"}]
    assert table_calls(wire, "slow") == (2, 1)


# The end.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(wire: Wire, number: signal.Signals) -> None:
    process = wire.start()
    path = wire.extension_socket
    process.popen.send_signal(number)
    assert (process.wait(), process.stderr) == (0, "")
    assert not os.path.exists(path)


def test_a_signal_ends_it_during_a_scan(wire: Wire) -> None:
    process = wire.start("--tables", "slow", program=TEST_TABLES)
    path = wire.extension_socket
    with ThreadPoolExecutor(1) as pool:
        message = pool.submit(wire.error, "SELECT * FROM slow")
        wait_until(lambda: os.path.exists(f"{wire.socket}.slow"), "the slow scan begins")
        process.popen.terminate()
        assert process.wait() == 0
        # Nothing releases the scan: had the process waited for it, this would be the message of its time budget.
        assert message.result().startswith(("Extension call failed: ", "slow: the extension ends"))
    assert not os.path.exists(path)
    assert wire.error("SELECT * FROM slow") == f"Extension socket not available: {path}"


def test_a_signal_ends_it_while_core_does_not_answer(wire: Wire) -> None:
    wire.core.stop()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(PATIENCE_SECONDS)
        silent.bind(wire.socket)
        silent.listen()
        process = wire.spawn()
        connection, _ = silent.accept()
        with connection:
            process.popen.terminate()
            assert (process.wait(), process.stderr) == (0, "")
    os.unlink(wire.socket)


def test_osquery_may_end_it(wire: Wire) -> None:
    process = wire.start()
    path = wire.extension_socket
    with client(path) as extension:
        extension.shutdown()
    assert (process.wait(), process.stderr) == (0, "")
    assert not os.path.exists(path)


def test_it_ends_when_osquery_goes_away(wire: Wire) -> None:
    process = wire.start()
    path = wire.extension_socket
    wire.core.stop()
    assert process.wait() == 1
    assert re.fullmatch(r"minehunt\[\d+\] ERROR: osquery is not running: there is no socket at \S+\n", process.stderr)
    assert not os.path.exists(path)


def test_it_ends_when_osquery_forgot_it(wire: Wire) -> None:
    process = wire.start()
    path = wire.extension_socket
    wire.core.forget(wire.uuid)
    assert process.wait() == 1
    assert "no longer lists this extension" in process.stderr
    assert not os.path.exists(path)


def test_it_ends_when_its_uuid_went_to_another_extension(wire: Wire) -> None:
    process = wire.start()
    wire.core.extensions_by_uuid[wire.uuid] = InternalExtensionInfo(name="other")
    assert process.wait() == 1
    assert "no longer lists this extension" in process.stderr


def test_a_core_that_is_slow_to_answer_is_not_taken_for_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as silent, ThreadPoolExecutor(1) as pool:
        silent.settimeout(PATIENCE_SECONDS)
        silent.bind(path)
        silent.listen()
        watching = pool.submit(Core(path, answer_seconds=0.05).watch, 1, 0.01)
        kept = [silent.accept()[0] for _ in range(3)]
        assert not watching.done()
        silent.close()
        for connection in kept:
            connection.close()
        with pytest.raises(CoreError, match=r"nothing listens|lost the connection"):
            watching.result(20)
    assert caplog.messages == [f"osquery at {path} did not answer within 0.05 s"]


# Queries of ours to osquery.


def test_core_runs_our_queries(wire: Wire) -> None:
    wire.start("--tables", "numbered", program=TEST_TABLES)
    core = Core(wire.socket)
    assert core.query("SELECT square FROM numbered WHERE number = 9") == [{"square": "81"}]
    with pytest.raises(CoreError, match="no such table: nonsense"):
        core.query("SELECT * FROM nonsense")


def test_what_osquery_hands_on_byte_for_byte_becomes_clean_text(tmp_path: Path) -> None:
    class Service:
        def query(self, _: str) -> ExtensionResponse:
            return ExtensionResponse(status=ExtensionStatus(code=0), response=[{"cmdline": "a\udcff\x1b[31m\n\0b"}])

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(PATIENCE_SECONDS)
        listener.bind(path)
        listener.listen()
        rows = pool.submit(Core(path).query, "SELECT cmdline FROM processes")
        transport = TSocket()
        transport.setHandle(listener.accept()[0])
        protocol = RawProtocol(TBufferedTransport(transport))
        Processor(Service()).process(protocol, protocol)
        transport.close()
        assert rows.result(20) == [{"cmdline": r"a\xff\x1B[31m\x0A\x00b"}]


# The stand-in itself: its checks are osquery's.


@pytest.mark.parametrize(
    ("sdk", "registry", "message"),
    [
        ("1.7.6", {"table": {"t": [ROUTE]}}, "Incompatible extension SDK version"),
        ("5.0.0", {"table": {"t": []}}, "Failed adding registry: Invalid route info"),
        ("5.0.0", {"nonsense": {"t": [ROUTE]}}, "Failed adding registry: Unknown registry: nonsense"),
        (
            "5.0.0",
            {"table": {"time": [ROUTE]}},
            "Failed adding registry: Registry item time conflicts with another item of the same name.",
        ),
    ],
)
def test_the_stand_in_refuses_what_osquery_refuses(wire: Wire, sdk: str, registry: Any, message: str) -> None:
    with client(wire.socket) as core:
        info = InternalExtensionInfo(name="x", version="1", sdk_version=sdk, min_sdk_version="1.8.0")
        status = core.registerExtension(info, registry)
        assert (status.code, status.message) == (1, message)
        assert core.extensions() == {}


def test_the_official_client_sees_core_and_its_extensions(wire: Wire) -> None:
    wire.start()
    with client(wire.socket) as core:
        assert core.ping().message == "pong"
        assert [info.name for info in core.extensions().values()] == ["minehunt"]
        assert core.options()["extensions_socket"].value == wire.socket
        assert core.getQueryColumns("SELECT table_name FROM minehunt_status").response == [{"table_name": "TEXT"}]
        assert core.call("table", "minehunt_status", {"action": "columns"}).status.code == 0
        assert core.deregisterExtension(wire.uuid).code == 0
        assert core.query("SELECT * FROM minehunt_status").status.message == "no such table: minehunt_status"
