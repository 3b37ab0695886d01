"""What is on this host, category by category, which package brings it, and which of it the pack's detections report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from string import Formatter
from typing import NamedTuple, Optional

from extension.engines import Engine, EngineError, ResultRow
from extension.pack.model import Pack
from tables.host import Host
from tables.host.packages.owners import OwnerUnknown, owners
from tables.indicators.known_good_list import CATEGORIES


class Source(NamedTuple):
    """Where a category's entries come from: `key` is the category's key text, made of columns that `sql` selects.

    `sql` may also select `path`, the file an entry stands in, and `context`, which tells a reviewer whose it is.
    Where `is_packaged`, packages bring such files.
    """

    category: str
    table: str
    key: str
    sql: str
    is_packaged: bool = False
    # What a reviewer must know of listing such entries.
    caution: str = ""

    @property
    def columns(self) -> set[str]:
        """The columns that the key text is made of."""
        return {name for _, name, _, _ in Formatter().parse(self.key) if name}


# The SOP's steps whose detections judge these categories; those of the others judge processes and connections.
_STEPS = frozenset({2, 5, 9, 10, 11, 13, 14, 15, 16, 17})

_OF_SCRIPTS = "An entry whose command is the file itself covers whatever that file holds later."

# In the SOP's order.
SOURCES = (
    Source(
        "preloaded_library",
        "preloaded_libraries",
        "{path}",
        "SELECT path, 'named by ' || source_path AS context FROM preloaded_libraries WHERE path <> ''",
        is_packaged=True,
    ),
    Source(
        "startup_command",
        "startup_commands",
        "{path}: {command}",
        "SELECT path, command, mechanism || coalesce(', as ' || nullif(run_as, ''), '') AS context FROM startup_commands "
        "WHERE command <> ''",
        is_packaged=True,
        caution=_OF_SCRIPTS,
    ),
    Source(
        "kernel_module",
        "kernel_modules",
        "{module}",
        "SELECT name AS module FROM kernel_modules",
        caution="An entry covers whatever module is loaded under this name.",
    ),
    Source(
        "account",
        "users",
        "{username}",
        "SELECT username, 'uid ' || uid || coalesce(', ' || nullif(directory, ''), '') "
        "|| coalesce(', ' || nullif(shell, ''), '') AS context FROM users",
        caution="An entry takes the account out of the inventory only; detections still report it.",
    ),
    Source(
        "ssh_key",
        "ssh_key_findings",
        "{fingerprint}",
        "SELECT fingerprint, path, 'of ' || coalesce(nullif(username, ''), 'every account') "
        "|| coalesce(', ' || nullif(comment, ''), '') AS context "
        "FROM ssh_key_findings WHERE fingerprint <> ''",
    ),
    Source(
        "scheduled_job",
        "scheduled_jobs",
        "{path}: {command}",
        "SELECT path, command, scheduler || coalesce(', ' || nullif(schedule, ''), '') "
        "|| coalesce(', as ' || nullif(run_as, ''), '') AS context "
        "FROM scheduled_jobs WHERE command <> ''",
        is_packaged=True,
        caution=_OF_SCRIPTS,
    ),
    Source(
        "systemd_unit",
        "systemd_unit_commands",
        "{path}: {command}",
        "SELECT path, command, unit || coalesce(', ' || nullif(directive, ''), '') "
        "|| coalesce(', as ' || nullif(run_as, ''), '') AS context "
        "FROM systemd_unit_commands WHERE command <> ''",
        is_packaged=True,
    ),
    Source(
        "service",
        "exposed_services",
        "{service} {address}:{port}",
        "SELECT service, address, port, exe_path AS context FROM exposed_services",
    ),
)


@dataclass(frozen=True)
class Entry:
    """One thing that is on the host; `package` owns its file, `reported_by` are the detections that report it now."""

    key: str
    path: Optional[str] = None
    context: str = ""
    package: Optional[str] = None
    is_unpackaged: bool = False
    reported_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """One category's entries, by key; `problem` says why there are none, `blind_spots` what may be missing."""

    source: Source
    entries: tuple[Entry, ...] = ()
    problem: Optional[str] = None
    blind_spots: tuple[str, ...] = ()


def look(engine: Engine) -> list[Seen]:
    """Every category's entries on the engine's host, sorted; a category that cannot be read says so."""
    return [_look(engine, source) for source in SOURCES]


def _look(engine: Engine, source: Source) -> Seen:
    try:
        rows = engine.query(source.sql)
        spots = engine.query(f"SELECT truncated_why, degraded_why FROM minehunt_status WHERE table_name = '{source.table}'")  # noqa: S608
    except EngineError as error:
        return Seen(source, problem=str(error))
    paths: dict[str, Optional[str]] = {}
    contexts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        key = source.key.format_map(row)
        paths.setdefault(key, row.get("path"))
        contexts[key].add(row.get("context", ""))
    entries = (Entry(key, paths[key], "; ".join(sorted(filter(None, contexts[key])))) for key in sorted(paths))
    return Seen(source, tuple(entries), blind_spots=tuple(why for spot in spots for why in spot.values() if why))


def with_packages(seen: Iterable[Seen], host: Host) -> list[Seen]:
    """The same with the packages of the entries' files; where no package database can tell, that is a blind spot."""
    return [_with_packages(one, host) if one.source.is_packaged and one.entries else one for one in seen]


def _with_packages(seen: Seen, host: Host) -> Seen:
    try:
        found = owners(host, {entry.path for entry in seen.entries if entry.path})
    except OwnerUnknown as error:
        return replace(seen, blind_spots=(*seen.blind_spots, str(error)))
    return replace(
        seen,
        entries=tuple(
            replace(entry, package=found.get(entry.path or ""), is_unpackaged=entry.path in found and found[entry.path] is None)
            for entry in seen.entries
        ),
    )


class Reports:
    """What the pack's detections report on a host, by key text and by file; `failures` are detections that could not run."""

    def __init__(self, pack: Pack, engine: Engine) -> None:
        self.failures: list[str] = []
        self._by_key: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._by_path: dict[str, set[str]] = defaultdict(set)
        for step in pack.steps:
            for query in step.queries:
                if query.kind != "detection" or step.step not in _STEPS:
                    continue
                try:
                    rows = engine.query(query.sql)
                except EngineError as error:
                    self.failures.append(f"{query.name}: {error}")
                    continue
                for row in rows:
                    self._add(step.step, query.name, row)

    def _add(self, step: int, query: str, row: ResultRow) -> None:
        for source in SOURCES:
            # In another step, a user name without a file is the owner of something else.
            if source.columns <= row.keys() and ("path" in source.columns or CATEGORIES[source.category].step == step):
                self._by_key[source.category, source.key.format_map(row)].add(query)
        for value in row.values():
            if value.startswith("/"):
                self._by_path[value].add(query)

    def mark(self, seen: Iterable[Seen]) -> list[Seen]:
        """The same, each entry with the detections that report it or any part of the file it stands in."""
        return [replace(one, entries=tuple(self._marked(one.source, entry) for entry in one.entries)) for one in seen]

    def _marked(self, source: Source, entry: Entry) -> Entry:
        names = self._by_key.get((source.category, entry.key), set()) | self._by_path.get(entry.path or "", set())
        return replace(entry, reported_by=tuple(sorted(names)))
