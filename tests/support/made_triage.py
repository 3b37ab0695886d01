"""Triages made of given rows, for tests of what a report does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Union

from extension.gaps import BlindSpot
from extension.pack.model import load_pack, shipped_pack
from extension.report.facts import Facts
from extension.triage import QueryResult, StepResult, Triage

PACK = load_pack(shipped_pack())
NOW = 1_795_450_000
HOST = {"hostname": "web-03", "system": "Debian", "kernel": "6.1", "architecture": "x86_64", "user": "root"}
FACTS = Facts(
    {"uptime": "93784", "cpu_logical_cores": "4", "cpu_brand": "CPU", "physical_memory": "8589934592"},
    ({"source": "a list", "entries": "479", "updated": "2026-08-16", "age_days": "99"},),
    ({"source": "/etc/minehunt/known_good.yaml", "entries": "3"},),
)
# Everything that has ever been made of a name: markup, styles, Markdown, escapes, reversed text, what ends a comment.
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)></style></title>\"'&amp;{{7*7}}{% raw %}"
    "``` `a` [x](javascript:alert(3)) ![y](http://203.0.113.1/z) <http://203.0.113.1> | a | *b* # "
    "\x1b[2J\x1b]0;owned\x07\u202eexe\n\n# h\x00"
)


def made(
    rows: Mapping[str, Union[str, Sequence[Mapping[str, str]]]], blind: Sequence[tuple[str, str]] = (), **host: str
) -> Triage:
    """The whole pack with these rows (or this error) for the queries named, and none for the others; every policy passes."""
    steps = []
    for step in PACK.steps:
        results = []
        for query in step.queries:
            given = rows.get(query.name, () if query.kind != "policy" else ({"ok": "1"},))
            if isinstance(given, str):
                results.append(QueryResult(query, "error", (), given, 12))
                continue
            is_abnormal = bool(given) if query.kind == "detection" else query.kind == "policy" and not given
            found = tuple(dict(row) for row in given)
            results.append(QueryResult(query, "abnormal" if is_abnormal else "normal", found, None, 12))
        statuses = {result.status for result in results}
        status = next((one for one in ("abnormal", "error") if one in statuses), "normal")
        steps.append(StepResult(step, status, tuple(results)))
    spots = tuple(BlindSpot(*spot) for spot in blind)
    return Triage("embedded", "test", {**HOST, **host}, NOW - 40.0, float(NOW), tuple(steps), spots)


def process(pid: int, parent: int, name: str = "sh", **more: str) -> dict[str, str]:
    """A row about a process, as the pack's queries select it."""
    row = {
        "pid": str(pid), "parent": str(parent), "process_name": name, "cmdline": name, "exe_path": f"/usr/bin/{name}",
        "owner_uid": "0", "start_time": str(NOW - 1000 + pid),
    }  # fmt: skip
    return {**row, **more}


def hostile(text: str = HOSTILE) -> Triage:
    """A triage in which every string that a host gives is `text`."""
    names = "process_name cmdline exe_path cwd ancestry parent_name unit container_id pool config_path evidence remote_address"
    row = process(7, 1, **dict.fromkeys(names.split(), text), remote_port="3333", exe_sha256=text)
    key = {"username": text, "path": text, "mtime": str(NOW - 5000), "evidence": text, "line": text, text[:60]: text}
    return made(
        {
            "process_tree": [process(1, 0, text), process(7, 1, text), process(8, 7, text)],
            "miner_process": [row],
            "pool_connection": [row],
            "tcp_connections": [row],
            "known_malware_key": [key, key],
            "shell_history_download_and_run": [{"entered_at": str(NOW - 9000), "username": text, "command": text, "path": text}],
            "logins": [{"logged_in_at": str(NOW - 99), "username": text, "remote": text}],
            "sshd_root_login": [],
            "hidden_processes": text,
        },
        blind=[(text, text)],
        **dict.fromkeys(HOST, text),
    )
