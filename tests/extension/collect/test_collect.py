"""Evidence in one archive: whole, as it was, safe to unpack, and checked again; the host is left as it was."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from extension.cli import main
from extension.collect.archive import Archive, ArchiveError, safe_name, verify
from extension.collect.logs import lines_around
from extension.collect.reading import Item, read_file
from extension.report import json as json_report
from tests.support.command_line import runner
from tests.support.made_triage import made, process


def manifest_of(path: Path) -> dict[str, Any]:
    manifest, problems = verify(path)
    assert problems == []
    return manifest


def member(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


@pytest.mark.root
def test_a_deleted_program_and_the_files_of_findings_are_kept_as_they_were(tmp_path: Path) -> None:
    program, config = tmp_path / "worker", tmp_path / "c.json"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    config.write_text('{"pools": []}')
    os.utime(config, (1_700_000_000, 1_700_000_000))
    child = subprocess.Popen([str(program), "60"], env={"XMRIG": "1"})
    try:
        started = int(time.time())
        content = program.read_bytes()
        program.unlink()
        row = process(child.pid, 1, "worker", exe_path=str(program), config_path=str(config), start_time=str(started))
        gone = process(4_000_000, 1, "gone", exe_path="/opt/gone", start_time=str(started))
        report = tmp_path / "report.json"
        report.write_text(json_report.render(made({"miner_process": [row, gone]})))
        case = tmp_path / "case.tar.gz"
        before = os.stat(config)
        result = runner().invoke(main, ["collect", str(report), "--output", str(case)])
        after = os.stat(config)
    finally:
        child.kill()
        child.wait()
    assert (before.st_atime_ns, before.st_ctime_ns) == (after.st_atime_ns, after.st_ctime_ns)
    manifest = manifest_of(case)
    names = {item["source"]: item for item in manifest["items"]}
    assert member(case, names[f"/proc/{child.pid}/exe"]["name"]) == content
    assert b"XMRIG=1" in member(case, names[f"/proc/{child.pid}/environ"]["name"])
    kept = names[str(config)]
    assert kept["mtime"] == 1_700_000_000 and kept["mode"] == "0644" and kept["read_by"] == "open(2) with O_NOATIME"
    # What could not be had is said, with why, and the archive is not called whole.
    assert result.exit_code == 1 and not manifest["complete"] and "no such process" in names["/proc/4000000"]["why_not"]
    assert "why_not" in names[str(program)]
    assert manifest["host"]["boot_id"] and len(manifest["minehunt_sha256"]) == 64 and manifest["by"]["uid"] == os.getuid()
    assert json.loads(member(case, "triage.json"))["summary"]["verdict"] == "compromised"
    assert case.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path).count("case.tar.gz") == 1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.root
def test_another_process_with_the_pid_is_not_taken_for_the_suspect(tmp_path: Path) -> None:
    report, case = tmp_path / "report.json", tmp_path / "case.tar.gz"
    report.write_text(json_report.render(made({"miner_process": [process(os.getpid(), 1, "x", start_time="1700000000")]})))
    assert runner().invoke(main, ["collect", str(report), "--output", str(case)]).exit_code == 1
    manifest = manifest_of(case)
    assert any("another process has pid" in str(item.get("why_not")) for item in manifest["items"])
    assert not any(str(item["source"]).endswith("/exe") for item in manifest["items"])


def test_bounds_are_kept_and_told(tmp_path: Path) -> None:
    path = tmp_path / "case.tar.gz"
    archive = Archive(path, 10)
    archive.add("a", Item("/a", b"12345678", {}))
    archive.add("b", Item("/b", b"12345678", {}))
    archive.add("c", Item("/c", b"1", {"cut_at": 1}))
    archive.finish({})
    archive.abandon()
    manifest = manifest_of(path)
    assert [item.get("why_not") for item in manifest["items"]] == [None, "no room left: --max-size", None]
    assert manifest["complete"] is False and len(manifest["incomplete"]) == 2
    with pytest.raises(ArchiveError, match="is there already"):
        Archive(path, 10)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../x", "a/../b", "/", "", "a\nb", "\x1b[2J", "é", "x" * 5000, "..", "c:\\x", "\udcff", "a b", "-rf"],
)
def test_names_are_safe_to_unpack(name: str) -> None:
    safe = safe_name(name)
    assert safe.isascii() and safe.isprintable() and not safe.startswith("/") and "\\" not in safe and " " not in safe
    assert not {"..", ".", ""} & set(safe.split("/")) and max(map(len, safe.split("/"))) < 255


def test_two_things_never_share_a_name(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "c.tar.gz", 1 << 20)
    for name in ("manifest.json", "a", "a"):
        archive.add(name, Item(name, name.encode(), {}))
    archive.finish({})
    assert len({item["name"] for item in manifest_of(tmp_path / "c.tar.gz")["items"]} | {"manifest.json"}) == 4


def rewritten(path: Path, change: dict[str, bytes | None], extra: tarfile.TarInfo | None = None) -> Path:
    target = path.with_name("other.tar.gz")
    with tarfile.open(path) as old, tarfile.open(target, "w:gz") as new:
        for entry in old:
            data = old.extractfile(entry).read()  # type: ignore[union-attr]
            data = change.get(entry.name, data)
            if data is not None:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
        if extra is not None:
            new.addfile(extra)
    return target


def test_verify_finds_what_was_changed_taken_out_or_put_in(tmp_path: Path) -> None:
    path = tmp_path / "case.tar.gz"
    archive = Archive(path, 1 << 20)
    archive.add("a", Item("/a", b"evidence", {}))
    archive.finish({})
    link = tarfile.TarInfo("../../etc/cron.d/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert verify(rewritten(path, {}))[1] == []
    assert "a: was changed" in verify(rewritten(path, {"a": b"evidencf"}))[1]
    assert "a: is missing" in verify(rewritten(path, {"a": None}))[1]
    assert any("neither a file" in problem for problem in verify(rewritten(path, {}, link))[1])
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(path.read_bytes()[:-40])
    for broken in (cut, tmp_path / "none", rewritten(path, {"manifest.json": None})):
        result = runner().invoke(main, ["collect", "--verify", str(broken)])
        assert result.exit_code == 2 and broken.name in result.output
    assert runner().invoke(main, ["collect", "--verify", str(rewritten(path, {"a": b"x"}))]).exit_code == 1
    assert "as they were collected" in runner().invoke(main, ["collect", "--verify", str(path)]).output


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for name in ("fifo", "link", "none", "x\0y"):
        item = read_file(str(tmp_path / name), 100)
        assert item.data is None and item.facts["why_not"]


def test_log_lines_around_a_moment_are_kept_in_each_form() -> None:
    moment = int(time.mktime((2026, 11, 23, 12, 0, 0, 0, 0, -1)))
    log = (
        b"Nov 23 11:40:00 web sshd: too early\nNov 23 11:58:00 web sshd: near\n  and its next line\n"
        b"2026-11-23T12:05:00" + time.strftime("%z", time.localtime(moment)).encode() + b" web cron: iso\n"
        + b"type=X msg=audit(%d.1:7): audit\n" % (moment + 5) + b"Nov 23 13:00:00 web sshd: too late\n  its next line\n"
    )  # fmt: skip
    kept = lines_around(log, [moment], float(moment + 7200))
    assert [line.split()[-1] for line in kept.splitlines()] == [b"near", b"line", b"iso", b"audit"]
    # A stamp without a year in a log of January is of the year before.
    assert lines_around(
        b"Dec 31 23:59:00 x\n",
        [int(time.mktime((2025, 12, 31, 23, 59, 0, 0, 0, -1)))],
        time.mktime((2026, 1, 2, 0, 0, 0, 0, 0, -1)),
    )


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for arguments in ([], ["--output", str(tmp_path / "no" / "x")], ["--output", str(tmp_path / "x"), "--max-size", "lots"]):
        result = runner().invoke(main, ["collect", *arguments])
        assert result.exit_code == 2 and "Traceback" not in result.output
