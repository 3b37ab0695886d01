from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables.host.disk.files import Files, Unreadable
from tables.host.logins.journal import Entry, JournalFile, journal_files
from tests.support.journal_writer import journal

WANTED = ("_COMM", "_UID", "MESSAGE")
START = 1795430000


def logged(count: int, program: str = "sshd") -> list[tuple[int, dict[str, str]]]:
    return [(START + n, {"_COMM": program, "_UID": "0", "PRIORITY": "6", "MESSAGE": f"{program} {n}"}) for n in range(count)]


def read(path: Path, limit: int = 1000) -> list[Entry]:
    with contextlib.closing(JournalFile(Files("/"), str(path))) as found:
        return list(found.entries("_COMM", ("sshd", "sudo"), WANTED, limit))


@pytest.mark.parametrize("is_compact", [False, True])
def test_entries_of_chosen_programs(tmp_path: Path, is_compact: bool) -> None:
    path = tmp_path / "system.journal"
    path.write_bytes(journal([*logged(7), *logged(3, "cron"), *logged(2, "sudo")], is_compact))
    found = read(path)
    assert sorted(entry.fields["MESSAGE"] for entry in found) == sorted(
        [*(f"sshd {n}" for n in range(7)), *(f"sudo {n}" for n in range(2))]
    )
    assert found[-1].fields.keys() == set(WANTED)
    assert {entry.time for entry in found} == set(range(START, START + 7))
    assert sorted(entry.fields["MESSAGE"] for entry in read(path, 2)) == ["sshd 5", "sshd 6", "sudo 0", "sudo 1"]


@pytest.mark.parametrize("is_compact", [False, True])
def test_entries_of_chosen_times(tmp_path: Path, is_compact: bool) -> None:
    path = tmp_path / "system.journal"
    path.write_bytes(journal([*logged(40), *logged(3, "cron")], is_compact))
    with contextlib.closing(JournalFile(Files("/"), str(path))) as found:
        entries = list(found.between([(START + 1, START + 2), (START + 30, START + 31)], ("MESSAGE",)))
    assert [entry.fields for entry in entries] == [
        {"MESSAGE": text} for text in ("sshd 1", "sshd 2", "sshd 30", "sshd 31", "cron 1", "cron 2")
    ]


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="no journalctl")
@pytest.mark.parametrize("is_compact", [False, True])
def test_systemd_takes_the_planted_files_for_whole(tmp_path: Path, is_compact: bool) -> None:
    """The files that these tests plant are what journald would write, as far as systemd itself can tell."""
    path = tmp_path / "system.journal"
    path.write_bytes(journal(logged(20), is_compact))
    done = subprocess.run(["journalctl", "--verify", "--file", str(path)], capture_output=True, text=True, check=False)
    assert "PASS" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a journal file"),
        (b"LPKSHHRH", "not a journal file"),
        (b"X" * 300, "not a journal file"),
        (b"LPKSHHRH" + b"\0" * 4 + b"\x40" + b"\0" * 300, "a newer kind of journal file"),
    ],
)
def test_what_is_no_journal_is_said(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.journal").write_bytes(data)
    with pytest.raises(Unreadable, match=why):
        JournalFile(Files("/"), str(tmp_path / "a.journal"))


def test_compressed_values_are_counted(tmp_path: Path) -> None:
    data = bytearray(journal(logged(1)))
    at = data.index(b"MESSAGE=sshd 0") - 64
    data[at + 1] = 4
    (tmp_path / "a.journal").write_bytes(data)
    with contextlib.closing(JournalFile(Files("/"), str(tmp_path / "a.journal"))) as found:
        (entry,) = found.entries("_COMM", ("sshd",), WANTED, 10)
    assert (entry.fields, found.unread) == ({"_COMM": "sshd", "_UID": "0"}, 1)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_file_neither_raises_nor_runs_in_circles(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(journal(logged(12)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(100, len(whole) - 9))
        whole[at : at + 8] = data.draw(
            st.sampled_from([b"\xff" * 8, bytes(8), (at & ~7).to_bytes(8, "little"), b"\x08" + bytes(7)])
        )
    cut = data.draw(st.integers(208, len(whole)))
    path = tmp_path_factory.mktemp("journal") / "a.journal"
    path.write_bytes(whole[:cut])
    read(path)


def test_where_journals_are_found(tmp_path: Path) -> None:
    for name in ("var/log/journal/a/system.journal", "run/log/journal/b/user-1000.journal", "var/log/journal/a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "var/log/journal/file").write_bytes(b"")
    assert sorted(journal_files(Files(str(tmp_path)))) == [
        "/run/log/journal/b/user-1000.journal",
        "/var/log/journal/a/system.journal",
    ]
