from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from tables.errors import TableError
from tables.files.recent_files import RecentFile, recent_files
from tables.host import Host
from tables.host.settings import Settings
from tables.schema import Constraint, QueryContext
from tests.support.scans import unseen_by

EQ = 2
ELF = b"\x7fELF" + bytes(60)


def write(path: Path, content: bytes = b"", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def scan(host: Host, budget: float = 120.0, **asked: str) -> tuple[dict[str, RecentFile], QueryContext]:
    query = QueryContext({name: [Constraint(EQ, value)] for name, value in asked.items()}, budget_seconds=budget)
    rows = [row for row in recent_files.generate(host, query) if isinstance(row, RecentFile)]
    return {row.path: row for row in rows}, query


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A mounted disk: a dpkg database that owns /usr/bin/ls."""
    write(tmp_path / "var/lib/dpkg/info/coreutils.list", b"/.\n/usr\n/usr/bin\n/usr/bin/ls\n")
    write(tmp_path / "usr/bin/ls", ELF * 2, 0o755)
    write(tmp_path / "etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
    return tmp_path


def test_reports_what_a_file_is(image: Path) -> None:
    write(image / "usr/bin/kw", ELF, 0o4755)
    write(image / "usr/local/bin/deploy", b"#!/bin/sh\n", 0o755)
    write(image / "var/tmp/.x/run", ELF)
    rows, _ = scan(Host(str(image)))
    kw, deploy, hidden, ls = (rows[path] for path in ("/usr/bin/kw", "/usr/local/bin/deploy", "/var/tmp/.x/run", "/usr/bin/ls"))
    assert (kw.is_elf, kw.is_script, kw.is_executable, kw.is_setuid, kw.mode, kw.is_packaged) == (
        True,
        False,
        True,
        True,
        "4755",
        False,
    )
    assert kw.reasons == "setuid,unpackaged_elf_in_system_folder"
    assert (deploy.is_script, deploy.reasons) == (True, "")
    assert (hidden.is_executable, hidden.is_hidden) == (False, True)
    assert hidden.reasons == "hidden_program,program_in_temporary_folder"
    assert (ls.package, ls.is_packaged, ls.reasons) == ("coreutils", True, "")
    assert rows["/etc/passwd"].is_packaged is None


def test_a_program_of_no_package_is_odd_only_where_packages_alone_put_programs(image: Path) -> None:
    odd = ("/usr/lib/systemd/systemd-netmon", "/usr/lib/udev/kw", "/usr/games/f2", "/usr/lib/openssh/sftpd", "/usr/lib/kthr.so")
    plain = ("/usr/lib/python3/dist-packages/x/_x.so", "/usr/lib/jvm/jdk-21/bin/java", "/usr/local/bin/tool", "/opt/x/x")
    for path in odd + plain:
        write(image / path[1:], ELF, 0o755)
    rows, _ = scan(Host(str(image)))
    found = {path for path, row in rows.items() if "unpackaged_elf_in_system_folder" in (row.reasons or "")}
    assert found == set(odd)


def test_finds_what_find_finds(image: Path) -> None:
    for number in range(300):
        write(image / f"srv/{number % 7}/{number % 11}/f{number}")
    os.symlink("nowhere", image / "srv/link")
    os.mkfifo(image / "srv/fifo")
    for kind, letter in (("regular", "f"), ("directory", "d"), ("symlink", "l"), ("fifo", "p")):
        rows, _ = scan(Host(str(image)), kind=kind, since="-1 hour", root="/srv")
        found = subprocess.run(
            ["find", image / "srv", "-mindepth", "1", "-newerct", "1 hour ago", "-type", letter],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert set(rows) == {path[len(str(image)) :] for path in found}
        assert {row.kind for row in rows.values()} == {kind}


def test_tells_every_kind_apart(image: Path) -> None:
    os.mkfifo(image / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(image / "s"))
    rows, _ = scan(Host(str(image)))
    assert {rows["/fifo"].kind, rows["/s"].kind, rows["/etc"].kind, rows["/etc/passwd"].kind} == {
        "fifo",
        "socket",
        "directory",
        "regular",
    }


def test_until_and_since_bound_the_span_as_find_has_it(image: Path) -> None:
    changed = os.stat(image / "etc/passwd").st_ctime_ns
    exact = f"{changed // 10**9}.{changed % 10**9:09d}"
    assert "/etc/passwd" in scan(Host(str(image)), since="-1 hour", until=exact)[0]
    assert "/etc/passwd" not in scan(Host(str(image)), since=exact)[0]
    assert scan(Host(str(image)), since="2001-01-01", until="2001-01-02")[0] == {}


def test_bounds_on_ctime_replace_the_default_span(image: Path) -> None:
    old = int(time.time()) - 20 * 86400
    for op, value, is_found in ((4, old, True), (8, int(time.time()) + 9, True), (32, int(time.time()) + 86400, False)):
        rows = list(recent_files.generate(Host(str(image)), QueryContext({"ctime": [Constraint(op, str(value))]})))
        assert bool(rows) is is_found


def test_what_was_asked_for_is_in_every_row() -> None:
    engine = EmbeddedEngine(Host())
    for since in ("-2 days", "  1 hour ago", "2020-01-01 10:00:00"):
        assert (
            engine.query(f"SELECT path FROM recent_files WHERE since = '{since}' AND root = '/etc' AND until = 'now' LIMIT 5")
            is not None
        )


def test_several_values_give_a_row_for_each(image: Path) -> None:
    engine = EmbeddedEngine(Host(str(image)))
    rows = engine.query(
        "SELECT path, since, root FROM recent_files WHERE since IN ('-1 hour', '-2 hours') AND root IN ('/etc', '/usr/bin') "
        "AND kind = 'regular' ORDER BY path, since"
    )
    assert [(row["path"], row["since"], row["root"]) for row in rows] == [
        ("/etc/passwd", "-1 hour", "/etc"),
        ("/etc/passwd", "-2 hours", "/etc"),
        ("/usr/bin/ls", "-1 hour", "/usr/bin"),
        ("/usr/bin/ls", "-2 hours", "/usr/bin"),
    ]


def test_of_several_roots_those_that_exist_are_walked(image: Path) -> None:
    folders = [entry.name for entry in image.iterdir() if entry.is_dir()][:1]
    engine = EmbeddedEngine(Host(str(image)))
    sql = "SELECT path FROM recent_files WHERE root IN ({})"
    alone = engine.query(sql.format(f"'/{folders[0]}'"))
    assert alone and engine.query(sql.format(f"'/{folders[0]}', '/no/such/folder'")) == alone
    (image / "link").symlink_to(f"{folders[0]}/")
    inside = image / folders[0] / "inside"
    write(inside / "file")
    (image / "inner").symlink_to(f"/{folders[0]}/inside")
    walked = engine.query(f"SELECT path, root FROM recent_files WHERE root IN ('/{folders[0]}', '/inner')")
    assert {row["root"] for row in walked} == {f"/{folders[0]}"}
    with pytest.raises(EngineError, match="/no/such/folder"):
        engine.query(sql.format("'/no/such/folder'"))
    # As a container's root often has none of the temporary folders.
    assert engine.query(sql.format("'/no/such/folder', '/nor/this'")) == []
    gaps = engine.query(
        "SELECT why, is_blind FROM minehunt_gaps WHERE table_name = 'recent_files' ORDER BY sequence DESC LIMIT 1"
    )
    assert gaps == [{"why": "no such folders: /no/such/folder, /nor/this", "is_blind": "0"}]


def test_a_join_gives_the_rows_of_each_root(image: Path) -> None:
    engine = EmbeddedEngine(Host(str(image)))
    rows = engine.query(
        "WITH r(root) AS (VALUES ('/etc'), ('/usr/bin')) "
        "SELECT f.path FROM r CROSS JOIN recent_files f ON f.root = r.root WHERE f.kind = 'regular' ORDER BY 1"
    )
    assert [row["path"] for row in rows] == ["/etc/passwd", "/usr/bin/ls"]


def test_other_comparisons_of_kind_do_not_narrow(image: Path) -> None:
    engine = EmbeddedEngine(Host(str(image)))
    rows = engine.query("SELECT path FROM recent_files WHERE kind <> 'regular' AND path = '/etc'")
    assert [row["path"] for row in rows] == ["/etc"]
    assert engine.query("SELECT 1 FROM recent_files WHERE kind = 'directory' AND path = '/etc'")


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "soon"), ("until", "2026-13-45"), ("since", "-1 parsec"), ("root", "etc"), ("root", "/no/such"),
     ("root", "/etc/passwd"),     ("since", "1\n"), ("root", "/a\tb")],
)  # fmt: skip
def test_an_unusable_value_is_named(image: Path, name: str, value: str) -> None:
    with pytest.raises(TableError, match=name):
        list(recent_files.generate(Host(str(image)), QueryContext({name: [Constraint(EQ, value)]})))


def test_forged_times(image: Path) -> None:
    lent = 1_600_000_000_123_456_789
    write(image / "etc/hosts", b"127.0.0.1 localhost\n")
    write(image / "usr/bin/bash", ELF * 3, 0o755)
    write(image / "usr/bin/top", ELF * 4, 0o755)
    # Where only some of the well-known files have a time, it is theirs alone.
    os.symlink("usr/bin", image / "bin")
    # Of the same package as ls, and once more in the root folder of a container; another file only poses as one.
    for path in (write(image / "usr/bin/arch", ELF * 5, 0o755), write(image / "srv/roots/web/usr/bin/arch", ELF * 5, 0o755)):
        os.utime(path, ns=(lent, lent))
    dpkg_list = image / "var/lib/dpkg/info/coreutils.list"
    dpkg_list.write_text(dpkg_list.read_text() + "/usr/bin/arch\n" if dpkg_list.exists() else "/usr/bin/arch\n")
    # A program of another system's root folder, whose own packages own it, and one beside it that none owns.
    guest = image / "srv/roots/guest"
    for path in (write(guest / "usr/sbin/guestd", ELF * 6, 0o755), write(guest / "usr/sbin/miner", ELF * 6, 0o755)):
        os.utime(path, ns=(lent, lent))
    write(guest / "var/lib/dpkg/info/guestd.list", b"/usr/sbin/guestd\n")
    # Of a copied system without packages, known by its own ls, and of a folder that has no such thing.
    for path in (
        write(image / "srv/unpacked/usr/bin/ls", ELF * 2, 0o755),
        write(image / "srv/unpacked/usr/bin/whoami", ELF * 7, 0o755),
        write(image / "srv/fake/usr/bin/ls", ELF + bytes(64), 0o755),
        write(image / "srv/fake/usr/bin/whoami", ELF * 7, 0o755),
    ):
        os.utime(path, ns=(lent, lent))
    posing = write(image / "srv/roots/db/usr/bin/arch", ELF * 4 + b"miner" + ELF[5:], 0o755)
    os.utime(posing, ns=(lent, lent))
    os.utime(image / "usr/bin/ls", ns=(lent, lent))
    forged = write(image / "usr/sbin/irqd", ELF, 0o755)
    copied = write(image / "srv/chroot/ls", ELF * 2, 0o755)
    unpacked = write(image / "opt/jdk/java", ELF, 0o755)
    ahead = write(image / "opt/ahead", ELF, 0o755)
    for path in (forged, copied):
        os.utime(path, ns=(lent, lent))
    os.utime(unpacked, (1_600_000_000, 1_600_000_000))
    os.utime(ahead, (time.time() + 9 * 86400,) * 2)
    rows, _ = scan(Host(str(image)))
    assert {path for path, row in rows.items() if row.is_timestomped} == {
        "/usr/sbin/irqd",
        "/opt/ahead",
        "/srv/roots/db/usr/bin/arch",
        "/srv/roots/guest/usr/sbin/miner",
        "/srv/fake/usr/bin/whoami",
    }
    assert rows["/usr/bin/ls"].is_timestomped is False


def test_without_a_package_database_nothing_is_said_of_packages(tmp_path: Path) -> None:
    write(tmp_path / "usr/bin/kw", ELF, 0o755)
    host = Host(str(tmp_path))
    rows, _ = scan(host)
    row = rows["/usr/bin/kw"]
    assert (row.is_packaged, row.is_timestomped, row.package, row.reasons) == (None, None, None, "")
    assert "database" in unseen_by(recent_files, host)[0]


def test_programs_are_kept_before_all_else(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tables.files.recent_files._MAX_FILES", 5)
    write(image / "srv/a/program", b"\x7fELF")
    write(image / "srv/a/tool", b"text", 0o755)
    for number in range(50):
        write(image / f"srv/b/{number}", b"data")
    rows, query = scan(Host(str(image)), kind="regular", root="/srv")
    assert len(rows) == 5
    assert {"/srv/a/program", "/srv/a/tool", "/srv/b/49", "/srv/b/48", "/srv/b/47"} == set(rows)
    assert query.truncated and "47 files beyond 5" in query.truncated


def test_an_ended_budget_gives_a_partial_answer_that_says_so(image: Path) -> None:
    rows, query = scan(Host(str(image)), budget=0.0)
    assert rows == {}
    assert query.truncated and "stopped in" in query.truncated


def test_links_lead_nowhere(image: Path) -> None:
    os.symlink("/", image / "srv-out")
    os.symlink("../..", image / "usr/up")
    os.symlink("usr", image / "linked")
    rows, _ = scan(Host(str(image)))
    assert not [path for path in rows if path.startswith(("/srv-out/", "/usr/up/", "/linked/"))]
    assert "/usr/bin/ls" in scan(Host(str(image)), root="/linked")[0]


def test_hostile_names(image: Path) -> None:
    folder = os.fsencode(image) + b"/srv/\xff\n\x1b"
    os.makedirs(folder)
    for name in (b"a\nb", b"\xfe", b"x" * 255, b" "):
        with open(folder + b"/" + name, "wb") as file:
            file.write(ELF)
    rows, _ = scan(Host(str(image)), kind="regular", root="/srv")
    assert len(rows) == 4
    assert all(row.is_elf and row.to_wire()["path"].isprintable() for row in rows.values())


def test_what_the_sop_leaves_out_is_left_out_unless_named_but_for_programs_in_run(image: Path) -> None:
    write(image / "run/user/1000/x", ELF)
    write(image / "run/user/1000/y", b"a pid")
    write(image / "run/initramfs/shutdown", ELF)
    write(image / "proc/x", ELF)
    host = Host(str(image))
    found = scan(host)[0]
    assert "/run/user/1000/x" in found
    assert not found.keys() & {"/run/user", "/run/user/1000/y", "/run/initramfs/shutdown", "/proc/x"}
    assert {"/run/user/1000/x", "/run/user/1000/y", "/run/initramfs/shutdown"} <= scan(host, root="/run")[0].keys()


def test_many_newer_programs_push_no_older_one_out(image: Path) -> None:
    write(image / "usr/bin/evil", ELF)
    for number in range(25_000):
        write(image / "tmp" / str(number // 1000) / str(number), b"\x7fELF", 0o755)
    rows, query = scan(Host(str(image)), kind="regular", since="-7 days")
    assert "/usr/bin/evil" in rows
    assert len(rows) == 20_000
    assert query.truncated and "beyond 20000" in query.truncated


@pytest.mark.root
def test_pseudo_file_systems_are_not_entered_on_the_live_host() -> None:
    rows, _ = scan(Host(), since="-1 hour", root="/dev")
    assert not [path for path in rows if path.startswith("/dev/pts/")]


def test_times_are_those_of_stat(image: Path) -> None:
    path = image / "etc/passwd"
    row = scan(Host(str(image)))[0]["/etc/passwd"]
    status = os.stat(path)
    assert (row.ctime, row.mtime, row.file_size, row.owner_uid) == (
        int(status.st_ctime), int(status.st_mtime), status.st_size, status.st_uid,
    )  # fmt: skip
    assert row.mode == f"{stat.S_IMODE(status.st_mode):04o}"
    assert row.btime is None or abs(row.btime - row.ctime) < 60


def test_a_triage_gives_the_same_rows_whatever_was_asked_before(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tables.host.settings.os.sched_getaffinity", lambda _: {0, 1, 2})
    for number in range(200):
        write(image / f"srv/{number % 7}/{number % 11}/f{number}", (b"text", ELF, b"#!/bin/sh\n")[number % 3])
    write(image / "tmp/.x/run", ELF, 0o755)
    questions: list[dict[str, str]] = [
        {"root": "/usr", "since": "-7 days", "kind": "regular", "is_elf": "1"},
        {"root": "/srv", "since": "-7 days", "kind": "regular", "is_elf": "1"},
        {"root": "/", "since": "-2 days", "kind": "regular", "is_program": "1"},
        {"root": "/tmp", "since": "-7 days", "kind": "regular"},
        {"root": "/", "since": "-2 days"},
        {"root": "/", "since": "-2 days", "until": "-1 hour", "kind": "regular"},
    ]
    for order in (questions, questions[::-1]):
        host = Host(str(image), Settings(is_triage=True))
        for asked in order:
            rows, query = scan(host, **asked)
            alone, _ = scan(Host(str(image)), **asked)
            assert list(rows.values()) == list(alone.values())
            assert query.said == ()
