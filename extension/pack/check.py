"""What a pack must keep to beyond its shape: names, intervals, ATT&CK ids, and SQL that osquery 5.12 and SIEMs take."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import tables
from extension.engines import EngineError
from extension.engines.core import COLUMNS
from extension.incidents import declared
from extension.pack import commands
from extension.pack.discovery import DISCOVERY, undiscovered
from extension.pack.empty_text import beliefs_in_null_text, quoted_sql
from extension.pack.model import KINDS, SEVERITIES, Pack, Problem, Query
from extension.pack.parts import LANGUAGES
from extension.pack.regex_subjects import MAX_SUBJECT, unbounded_subjects
from extension.pack.reported import Evaluator, silent_reasons

SOP_STEPS = range(1, 19)

# osquery/config/packs.cpp and osquery/database/database.cpp: what osquery itself refuses.
_MAX_INTERVAL = 604_800
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_REFUSED_PREFIXES = ("query.", "cache.", "config_views.")
_REFUSED_SUFFIXES = ("epoch", "counter")
# osquery's --regex_max_size: a longer pattern makes regex_match fail.
_MAX_REGEX_BYTES = 256

_ATTACK = re.compile(r"T\d{4}(\.\d{3})?")
# ATT&CK replaced these (MISP galaxy, 2026-08).
_REVOKED_ATTACK = {"T1562.001": "T1685", "T1562.003": "T1690", "T1562.004": "T1686"}

# SIEM pipelines rewrite columns of these names (osquery contract, section 6).
RESERVED_COLUMNS = frozenset(
    {"action", "name", "type", "size", "uid", "host", "source", "time", "message", "tags", "epoch", "counter"}
)
# Numbers that differ at every run: in a differential query each would be logged as removed and added again.
VOLATILE_COLUMNS = frozenset(
    {
        *("user_time", "system_time", "cpu", "cpu_percent", "cpu_cores", "cpu_busy_cores", "cpu_seen_cores"),
        *("resident_size", "total_size", "wired_size", "disk_bytes_read", "disk_bytes_written", "threads", "fd"),
        *("atime", "uptime", "total_seconds", "unix_time", "age", "active_state", "sub_state", "local_port"),
        *("processes_seen", "processes_expected", "threads_seen", "threads_expected", "swept_to", "window_seconds"),
        *("residual_cores", "residual_cores_min", "forks_per_second", "calls", "scans"),
        *("cpu_percent_host", "cpu_percent_since_start", "run_queue_wait_percent", "busy_threads", "cpu_seconds"),
        *("respawns", "interval_seconds", "previous_pid", "starters", "unit_restarts", "mapped_processes", "processes_looked_at"),
    }
)
_VOLATILE_PREFIX = "last_"
# The day of the last password change, which changes at most daily.
_STEADY_COLUMNS = frozenset({"last_change"})
_PROCESS_COLUMNS = frozenset({"process_name", "cmdline", "exe_path", "parent", "parent_name", "start_time", "evidence"})
_OWNER_COLUMNS = frozenset({"username", "owner_uid"})

# SQLite features newer than the 3.39 that osquery 5.12 carries, and what osquery's SQLite lacks.
_TOO_NEW = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "string_agg()": r"\bstring_agg\s*\(",
        "octet_length()": r"\boctet_length\s*\(",
        "timediff()": r"\btimediff\s*\(",
        "unhex()": r"\bunhex\s*\(",
        "if()": r"\bif\s*\(",
        "jsonb functions": r"\bjsonb\w*\s*\(",
        "json_pretty()": r"\bjson_pretty\s*\(",
        "json_error_position()": r"\bjson_error_position\s*\(",
        "the REGEXP operator": r"\bREGEXP\b",
        "ORDER BY inside an aggregate": r"\b(group_concat|sum|total|json_group_array)\s*\([^()]*\bORDER\s+BY\b",
        "digit separators": r"\b\d+_\d",
    }.items()
}
_STRING_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_SCHEMA = {**COLUMNS, **{table.name: {c.name: c.type for c in table.columns} for table in tables.discover().values()}}
# Documents beside the folder of packs whose quoted queries people copy.
_DOCUMENTS = ("README.md", "CONTRIBUTING.md")
_USES_REGEX = re.compile(r"\bregex_(match|split)\s*\(", re.IGNORECASE)


class Compiler(Evaluator, Protocol):
    """What compiles SQL, and runs it."""

    def column_names(self, sql: str) -> list[str]:
        """The result columns of `sql`; EngineError when it does not compile."""


def check_pack(pack: Pack, engine: Compiler) -> list[Problem]:
    """Everything wrong with `pack`, in file and line order; empty when it may ship. `engine` compiles every query."""
    problems = list(_steps(pack))
    names = Counter(query.name for query in pack.queries())
    for query in pack.queries():
        if names[query.name] > 1:
            problems.append(Problem(query.file, query.line, f"query name {query.name!r} is used {names[query.name]} times"))
        problems += _metadata(query)
        problems += _text(query)
        problems += _null_text(query)
        problems += _regex_subjects(query)
        problems += _columns(query, engine)
    problems += _silent_reasons(pack, engine)
    problems += _discovery(pack, engine)
    return sorted(set(problems))


def check_documented_queries(pack: Pack) -> list[Problem]:
    """What the tables' own examples and the documents beside `pack`'s folder show and osquery would answer wrongly."""
    problems = []
    for table in tables.discover().values():
        file = Path(inspect.getfile(table.generate))
        source = file.read_text(encoding="utf-8") if file.exists() else ""
        for example in table.examples:
            line = source.count("\n", 0, max(0, source.find(example[:40]))) + 1
            problems += [Problem(file, line, belief.message) for belief in beliefs_in_null_text(example, _SCHEMA)]
    for name in _DOCUMENTS:
        document = pack.folder.parent.parent / name
        for line, sql in quoted_sql(document.read_text(encoding="utf-8")) if document.is_file() else ():
            for belief in beliefs_in_null_text(sql, _SCHEMA):
                problems.append(Problem(document, line + belief.line - 1, belief.message))
    return sorted(set(problems))


def _silent_reasons(pack: Pack, engine: Compiler) -> Iterator[Problem]:
    for table, column, word in silent_reasons(pack, tables.discover(), engine):
        yield Problem(pack.folder, 1, f"no detection reports the {column} `{word}` of {table.name}")


def _discovery(pack: Pack, engine: Compiler) -> Iterator[Problem]:
    for name, entry in pack.discovery.items():
        if fault := _compiling(entry.sql, engine):
            yield Problem(pack.folder / DISCOVERY, entry.line, f"{name}: the SQL does not compile: {fault}")
    for query in undiscovered(pack):
        yield _problem(query, "sql", f"reads the tables of no entry of {DISCOVERY}, or those of several")


def _compiling(sql: str, engine: Compiler) -> str:
    try:
        engine.column_names(sql)
    except EngineError as error:
        return str(error)
    return ""


def _steps(pack: Pack) -> Iterator[Problem]:
    found = Counter(step.step for step in pack.steps)
    for step in pack.steps:
        if step.step not in SOP_STEPS:
            yield Problem(step.file, step.line, f"the SOP has no step {step.step}")
        elif found[step.step] > 1:
            yield Problem(step.file, step.line, f"step {step.step} has {found[step.step]} files")
        if not step.file.name.startswith(f"{step.step:02}_"):
            yield Problem(step.file, step.line, f"the file of step {step.step} must be named {step.step:02}_….yaml")
    for number in SOP_STEPS:
        # A pack of events adds to the triage what only events show.
        if number not in found and not pack.discovery:
            yield Problem(pack.folder, 1, f"step {number} of the SOP has no file")


def _metadata(query: Query) -> Iterator[Problem]:
    if not _NAME.fullmatch(query.name):
        yield Problem(query.file, query.line, f"query name {query.name!r} may hold only a-z, 0-9 and _, beginning with a letter")
    if query.name.startswith(_REFUSED_PREFIXES) or query.name.endswith(_REFUSED_SUFFIXES):
        yield Problem(query.file, query.line, f"osquery refuses the query name {query.name!r}")
    if query.kind not in KINDS:
        yield _problem(query, "kind", f"unknown kind {query.kind!r}; one of {', '.join(KINDS)}")
    if query.severity not in SEVERITIES:
        yield _problem(query, "severity", f"unknown severity {query.severity!r}; one of {', '.join(SEVERITIES)}")
    if not 1 <= query.interval <= _MAX_INTERVAL:
        yield _problem(query, "interval", f"interval {query.interval} is outside 1..{_MAX_INTERVAL} seconds")
    if query.kind == "inventory" and query.snapshot:
        yield _problem(query, "snapshot", "an inventory shows drift, so it must be differential (snapshot: false)")
    if query.kind in ("evidence", "policy") and not query.snapshot:
        yield _problem(query, "snapshot", f"{query.kind} queries are snapshots (snapshot: true)")
    if query.kind == "detection" and not query.attack:
        yield _problem(query, "attack", "a detection names at least one ATT&CK technique")
    if query.kind == "detection" and not query.false_positives:
        yield _problem(query, "false_positives", "a detection says what innocent thing may look like it")
    for technique in query.attack:
        if not _ATTACK.fullmatch(technique):
            yield _problem(query, "attack", f"{technique!r} is no ATT&CK technique id (T1234 or T1234.001)")
        elif technique in _REVOKED_ATTACK:
            yield _problem(query, "attack", f"ATT&CK replaced {technique} by {_REVOKED_ATTACK[technique]}")


def _text(query: Query) -> Iterator[Problem]:
    bare = _STRING_OR_COMMENT.sub(lambda match: "''" if match[0].startswith("'") else " ", query.sql).strip().rstrip(";")
    if not re.match(r"(SELECT|WITH)\b", bare, re.IGNORECASE):
        yield _problem(query, "sql", "the SQL must begin with SELECT or WITH")
    if ";" in bare:
        yield _problem(query, "sql", "the SQL must be one statement")
    if '"' in bare:
        yield _problem(query, "sql", "strings take single quotes; double quotes mean a column name")
    for feature, pattern in _TOO_NEW.items():
        if pattern.search(bare):
            yield _problem(query, "sql", f"{feature} is not in the SQLite 3.39 of osquery 5.12")
    for literal in _STRING_OR_COMMENT.findall(query.sql) if _USES_REGEX.search(bare) else ():
        if literal.startswith("'") and len(literal[1:-1].replace("''", "'").encode()) > _MAX_REGEX_BYTES:
            yield _problem(query, "sql", f"osquery refuses a regular expression over {_MAX_REGEX_BYTES} bytes: {literal[:40]}…")


def _null_text(query: Query) -> Iterator[Problem]:
    # A block of SQL begins on the line after its key.
    first = query.lines.get("sql", query.line)
    for belief in beliefs_in_null_text(query.sql, _SCHEMA):
        yield Problem(query.file, first + belief.line, f"{query.name}: {belief.message}")
    said = [text.get(language) for text in (query.description, *query.false_positives) for language in LANGUAGES]
    said += [step.shown(language) for step in query.response for language in LANGUAGES]
    for text in said:
        for _, sql in quoted_sql(text):
            for belief in beliefs_in_null_text(sql, _SCHEMA):
                yield _problem(query, "response", belief.message)


def _regex_subjects(query: Query) -> Iterator[Problem]:
    # A block of SQL begins on the line after its key.
    first = query.lines.get("sql", query.line)
    for subject in unbounded_subjects(query.sql):
        message = f"osquery's regular expressions take short texts only: substr({subject.text}, 1, {MAX_SUBJECT})"
        yield Problem(query.file, first + subject.line, f"{query.name}: {message}")


def _columns(query: Query, engine: Compiler) -> Iterator[Problem]:
    try:
        columns = engine.column_names(query.sql)
    except EngineError as error:
        yield _problem(query, "sql", f"the SQL does not compile: {error}")
        return
    for column, times in Counter(columns).items():
        if times > 1:
            yield _problem(query, "sql", f"the result has the column `{column}` {times} times")
        if column in RESERVED_COLUMNS:
            yield _problem(query, "sql", f"the result column `{column}` is rewritten by SIEM pipelines; name it otherwise (AS …)")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", column):
            yield _problem(query, "sql", f"the result column `{column}` needs a plain name (AS …)")
    if not query.snapshot:
        for column in columns:
            steady = column in _STEADY_COLUMNS
            if not steady and (column in VOLATILE_COLUMNS or column.startswith(_VOLATILE_PREFIX)):
                yield _problem(query, "sql", f"the differential query selects the volatile column `{column}`")
    for key, message in declared.problems(query, columns):
        yield _problem(query, key, message)
    for message in commands.problems(query, columns):
        yield _problem(query, "response", message)
    if query.kind == "detection":
        missing = set((_PROCESS_COLUMNS if "pid" in columns else {"evidence"}) - set(columns))
        if "pid" in columns and not _OWNER_COLUMNS & set(columns):
            missing.add("username or owner_uid")
        if missing:
            yield _problem(query, "sql", f"the detection does not select {', '.join(sorted(missing))}")


def _problem(query: Query, key: str, message: str) -> Problem:
    return Problem(query.file, query.lines.get(key, query.line), f"{query.name}: {message}")
