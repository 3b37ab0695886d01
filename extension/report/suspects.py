"""The process tree of a triage: every process that a finding names, with its ancestors, children, sockets and files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Optional

from extension.engines import ResultRow
from extension.pack.model import SEVERITIES
from extension.triage import QueryResult, Triage

_MAX_SUSPECTS = 100
_MAX_CHILDREN = 20
_MAX_DEPTH = 64
# Evidence whose rows say more of a process, besides the findings.
_SAYS_MORE = ("tcp_connections", "open_ports", "suspect_files", "startup_of_running_program")


@dataclass
class Process:
    """One process of the tree. `findings` is empty for an ancestor or child that nothing was found about."""

    pid: str
    facts: ResultRow
    findings: list[QueryResult] = field(default_factory=list)
    # (word for the relation, what it is) and a note on it, each once and in the order found
    sockets: dict[tuple[str, str], str] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    children: list[Process] = field(default_factory=list)


@dataclass(frozen=True)
class Forest:
    """The trees, by their topmost processes, and how many suspects are left out of them."""

    roots: tuple[Process, ...]
    left_out: int


def forest(triage: Triage) -> Forest:
    """Draw the suspects of a triage together; those beyond the first hundred are counted only."""
    results = {result.query.name: result for result in triage.results}
    tree = results.get("process_tree")
    grower = _Grower(tree.rows if tree else ())
    for result in triage.results:
        if result.query.kind == "detection":
            for row in result.rows:
                grower.add_suspect(row, result)
    for result in triage.results:
        for row in result.rows if result.findings or result.query.name in _SAYS_MORE else ():
            process = grower.drawn_process(row)
            if process is not None:
                _note(process.sockets, _sockets(row))
                _note(process.files, _files(row))
    for process in grower.drawn.values():
        process.findings.sort(key=lambda result: SEVERITIES.index(result.query.severity))
        _drop_known_listeners(process.sockets)
    return Forest(grower.roots(), grower.left_out)


class _Grower:
    """Processes are told apart by pid and start time: a finding may be about an earlier owner of a pid."""

    def __init__(self, rows: Iterable[ResultRow]) -> None:
        self.known = {row["pid"]: row for row in rows if row.get("pid", "").isdigit()}
        self.children: dict[str, list[ResultRow]] = {}
        for row in self.known.values():
            self.children.setdefault(row.get("parent", ""), []).append(row)
        self.drawn: dict[tuple[str, str], Process] = {}
        self.left_out = 0
        self._suspects = 0
        self._beyond: set[tuple[str, str]] = set()

    def add_suspect(self, row: ResultRow, result: QueryResult) -> None:
        """Draw the process that a finding is about, if it is about one, and its family."""
        pid = row.get("pid", "")
        if not pid.isdigit() or pid == "0":
            return
        key = self._key(row)
        process = self.drawn.get(key)
        if process is None or not process.findings:
            if self._suspects == _MAX_SUSPECTS:
                self._beyond.add(key)
                self.left_out = len(self._beyond)
                return
            self._suspects += 1
            process = self._draw(key, {**row, **{name: value for name, value in self._tree_row(key).items() if value}})
            self._draw_ancestors(process)
            for child in self.children.get(pid, [])[:_MAX_CHILDREN] if self._tree_row(key) else ():
                self._draw(self._key(child), child)
        if result not in process.findings:
            process.findings.append(result)

    def drawn_process(self, row: ResultRow) -> Optional[Process]:
        """The process that a row is about, where it is drawn."""
        return self.drawn.get(self._key(row))

    def roots(self) -> tuple[Process, ...]:
        """Hang every drawn process below its parent and return those without one."""
        roots = []
        for process in self.drawn.values():
            parent = self.drawn.get(self._key({"pid": process.facts.get("parent", "")}))
            if parent is None or self._is_above(process, parent):
                roots.append(process)
            else:
                parent.children.append(process)
        return tuple(sorted(roots, key=_by_pid))

    def _key(self, row: ResultRow) -> tuple[str, str]:
        pid = row.get("pid", "")
        known = self.known.get(pid, {}).get("start_time", "")
        return pid, row.get("start_time") or known

    def _tree_row(self, key: tuple[str, str]) -> ResultRow:
        row = self.known.get(key[0], {})
        return row if row.get("start_time", "") == key[1] else {}

    def _draw(self, key: tuple[str, str], facts: ResultRow) -> Process:
        return self.drawn.setdefault(key, Process(key[0], facts))

    def _draw_ancestors(self, process: Process) -> None:
        for _ in range(_MAX_DEPTH):
            parent = process.facts.get("parent", "")
            if not parent.isdigit() or parent == "0":
                return
            row = self.known.get(parent)
            if row is None:
                # Hidden, gone, or step 1 was not run: the finding has its name at most.
                row = {"pid": parent, "process_name": process.facts.get("parent_name", "")}
            process = self._draw(self._key(row), row)

    def _is_above(self, process: Process, other: Process) -> bool:
        """Whether `process` is an ancestor of `other` or the same: the list of processes was not taken in one moment."""
        for _ in range(_MAX_DEPTH):
            if other is process:
                return True
            above = self.drawn.get(self._key({"pid": other.facts.get("parent", "")}))
            if above is None:
                return False
            other = above
        return True


def _by_pid(process: Process) -> int:
    return int(process.pid)


def _note(notes: dict[tuple[str, str], str], found: Iterable[tuple[str, str, str]]) -> None:
    for relation, what, note in found:
        notes[relation, what] = notes.get((relation, what)) or note


def _sockets(row: ResultRow) -> Iterator[tuple[str, str, str]]:
    if row.get("remote_address") and row.get("remote_port", "0") != "0":
        yield "connects", _endpoint(row["remote_address"], row["remote_port"]), row.get("pool") or row.get("matched", "")
    port = row.get("listen_port") or row.get("port", "")
    if port and port != "0":
        yield "listens", _endpoint(row.get("address", ""), port), row.get("service", "")


def _drop_known_listeners(sockets: dict[tuple[str, str], str]) -> None:
    """Leave out ports without an address where the same port is there with one."""
    ports = {(relation, what.rpartition(":")[2]) for relation, what in sockets if not what.startswith("*:")}
    for relation, what in list(sockets):
        if what.startswith("*:") and (relation, what[2:]) in ports:
            del sockets[relation, what]


def _endpoint(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address or '*'}:{port}"


def _files(row: ResultRow) -> Iterator[tuple[str, str, str]]:
    if row.get("exe_path"):
        digest = row.get("exe_sha256") or (row.get("sha256", "") if "exe_mtime" in row else "")
        yield "program_file", row["exe_path"], f"sha256 {digest}" if digest else ""
    if row.get("config_path"):
        yield "config_file", row["config_path"], ""
    if row.get("trigger") and row.get("path"):
        yield "started_by", ":".join(filter(None, (row["path"], row.get("line", "")))), row["trigger"]
