"""What belongs to a case: the suspects and files of its findings, its logs, its reports, and the facts of the examination."""

from __future__ import annotations

import ctypes
import getpass
import hashlib
import os
import platform
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

from extension import __version__
from extension.collect.archive import Archive
from extension.collect.journals import journal_items
from extension.collect.logs import LOGS, lines_around
from extension.collect.processes import Processes
from extension.collect.reading import Item, read_file
from extension.incidents import Finding
from extension.incidents.things import FILE, PROCESS, process_pid
from extension.pack.parts import LANGUAGES
from extension.triage import Triage, iso_time
from tables.host import Host

# Looked at in every case: what starts things, and who may come in.
_ALWAYS = ("/etc/ld.so.preload", "/etc/rc.local", "/etc/rc.d/rc.local", "/etc/crontab", "/etc/passwd", "/etc/group")
_LOG_READ = 256 << 20
_ADJ_STATUS_UNSYNC = 0x0040


def collect(archive: Archive, host: Host, triage: Optional[Triage], pids: Iterable[int], max_item: int) -> dict[str, Any]:
    """Put the evidence into the archive; the facts of the examination, for its manifest."""
    started = time.time()
    findings = triage.chained if triage else ()
    processes = Processes(host)
    suspects = dict.fromkeys((*pids, *(pid for pid, _ in _suspects(findings))))
    begins = dict(_suspects(findings))
    for pid in suspects:
        _add_process(archive, processes, pid, begins.get(pid), max_item)
    for finding in findings:
        _add_container_files(archive, processes, finding, max_item)
    for path in dict.fromkeys((*_files(findings), *_ALWAYS)):
        archive.add(f"files/{path}", read_file(path, max_item))
    if triage is not None:
        _add_logs(archive, host, triage, findings, max_item)
        _add_reports(archive, triage)
    return _about(started, processes)


def needed(triage: Optional[Triage], pids: Iterable[int], max_item: int) -> int:
    """About how many bytes the evidence has, before it is packed."""
    findings = triage.chained if triage else ()
    total = 8 << 20
    for path in (*_files(findings), *_ALWAYS):
        total += _size(path, max_item)
    for pid in {*pids, *(pid for pid, _ in _suspects(findings))}:
        total += _size(f"/proc/{pid}/exe", max_item) + (1 << 20)
    return total


def _size(path: str, limit: int) -> int:
    try:
        return min(os.stat(path).st_size, limit)
    except (OSError, ValueError):
        return 0


def _suspects(findings: Iterable[Finding]) -> Iterator[tuple[int, Optional[int]]]:
    """The pids that findings are about, with the start (unix seconds) of each that tells it."""
    for finding in findings:
        for thing in finding.things:
            is_parent = thing.is_weak and process_pid(thing) == finding.row.get("parent")
            if thing.kind == PROCESS and (not is_parent or finding.query.name == "hidden_parent"):
                start = thing.value.partition("@")[2]
                yield int(process_pid(thing)), int(start) if start else None


def _files(findings: Iterable[Finding]) -> Iterator[str]:
    """The files that findings name, those of many entries too; not what only containers have."""
    for finding in findings:
        if not finding.row.get("container_id"):
            yield from (thing.value for thing in finding.things if thing.kind == FILE)


def _add_process(archive: Archive, processes: Processes, pid: int, began: Optional[int], max_item: int) -> None:
    now = processes.start_time(pid)
    folder = f"processes/{pid}-{now or 0}"
    if began and now and abs(now - began) > 2:
        why_not = f"another process has pid {pid} now: it began {iso_time(now)}"
        archive.add(folder, Item(f"/proc/{pid}", None, {"why_not": why_not}))
        archive.incomplete.append(f"/proc/{pid}: {why_not}")
        return
    for name, item in processes.items(pid, max_item):
        archive.add(f"{folder}/{name}", item)
        if item.data is None and name in ("gone", "ended", "exe"):
            archive.incomplete.append(f"{item.source}: {item.facts.get('why_not', '')}")


def _add_container_files(archive: Archive, processes: Processes, finding: Finding, max_item: int) -> None:
    pid, path = finding.row.get("pid", ""), finding.row.get("config_path", "")
    if finding.row.get("container_id") and pid.isdigit() and path.startswith("/"):
        archive.add(f"processes/{pid}-root/{path}", processes.file_of(int(pid), path, max_item))


def _add_logs(archive: Archive, host: Host, triage: Triage, findings: Iterable[Finding], max_item: int) -> None:
    moments = {finding.when for finding in findings if finding.when} | {int(triage.started)}
    for path in LOGS:
        item = read_file(path, _LOG_READ)
        if item.data is None:
            archive.add(f"logs/{path}", item)
            continue
        lines = lines_around(item.data, moments, item.facts["mtime"])
        facts = {**item.facts, "kept": "the lines within ten minutes of the findings' times"}
        archive.add(f"logs/{path}", Item(path, lines, {key: value for key, value in facts.items() if key != "cut_at"}))
    for name, item in journal_items(host.files, moments, max_item):
        archive.add(f"logs/{name}", item)


def _add_reports(archive: Archive, triage: Triage) -> None:
    from extension.report import html
    from extension.report import json as json_report
    from extension.report.facts import Facts

    made = {"read_by": "made by minehunt"}
    archive.add("triage.json", Item("triage", json_report.render(triage).encode("utf-8", "backslashreplace"), made))
    for language in LANGUAGES:
        page = html.render(triage, Facts(), language).encode("utf-8", "backslashreplace")
        archive.add(f"triage_{language}.html", Item("triage", page, made))


def _about(started: float, processes: Processes) -> dict[str, Any]:
    boot_id = read_file("/proc/sys/kernel/random/boot_id", 64).data or b""
    login_uid = read_file("/proc/self/loginuid", 32).data or b""
    return {
        "minehunt": __version__,
        "minehunt_sha256": own_hash(),
        "command": sys.argv,
        "by": {
            "uid": os.getuid(),
            "user": _user(),
            "sudo_user": os.environ.get("SUDO_USER"),
            "login_uid": login_uid.decode("ascii", "replace").strip(),
        },
        "host": {
            "hostname": socket.gethostname(),
            "kernel": " ".join(platform.uname()[0:1] + platform.uname()[2:5]),
            "boot_id": boot_id.decode("ascii", "replace").strip(),
        },
        "clock": _clock(),
        "processes_seen_in": processes.how,
        "started": iso_time(started),
        "finished": iso_time(time.time()),
    }


def own_hash() -> str:
    """The SHA-256 of minehunt's own files, by name, or of the one file that it is."""
    home = Path(__file__).resolve().parents[2]
    if home.is_file():
        return hashlib.sha256(home.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for folder in ("extension", "tables", "packs"):
        for path in sorted((home / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(home)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _user() -> Optional[str]:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


class _Timex(ctypes.Structure):
    """The first fields of struct timex (include/uapi/linux/timex.h)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def _clock() -> dict[str, Any]:
    """The clock, its zone, and how far off the kernel believes it to be (adjtimex(2)); `synchronised` None where unknown."""
    found: dict[str, Any] = {"unix_time": time.time(), "zone": time.strftime("%Z %z"), "synchronised": None, "error_us": None}
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return found
    if state >= 0:
        found["synchronised"] = not timex.status & _ADJ_STATUS_UNSYNC
        found["error_us"] = timex.maxerror
    return found
