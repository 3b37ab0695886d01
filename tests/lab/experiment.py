"""The experiment: plant each case and ask the queries that must find it, then plant all twins and ask every detection."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from extension.engines import EngineError
from extension.pack.model import load_pack
from tests.lab.case import Case, cases_of
from tests.lab.room import Planted, Room
from tests.support.patience import patient

PACK = load_pack(Path(__file__).resolve().parents[2] / "packs" / "cryptominer_triage")
QUERIES = {query.name: query for query in PACK.queries()}
SQL = {name: query.sql for name, query in QUERIES.items()}
DETECTIONS = [query for query in PACK.queries() if query.kind == "detection"]
# A count of all processes needs a moment in which none starts; other programs may need a moment to come up.
_PATIENCE = patient(30.0)
_OF_THE_MOMENT = frozenset({"pid", "start_time", "parent", "restarter", "restarter_pid", "evidence", "unseen_cores"})

Row = dict[str, str]
# What was planted, each with the number of the case whose twin it is; None for a case itself.
_Suspects = list[tuple[Optional[int], Planted]]


def examine(subject: ModuleType) -> list[dict[str, Any]]:
    """One result per case of the subject: the fields of results.Result, and the case's name."""
    room = Room()
    cases = cases_of(subject)
    if hasattr(subject, "AGE_SECONDS"):
        return _examine_aged(room, cases, subject.AGE_SECONDS)
    results = []
    for case in cases:
        results.append(_try(room, case))
        room.clear()
    verdicts = _try_twins(room, cases, shares_pids=getattr(subject, "SHARES_PIDS", False))
    room.clear()
    return _joined(results, verdicts)


def _examine_aged(room: Room, cases: list[Case], age: float) -> list[dict[str, Any]]:
    """The same where all must be `age` seconds old: planted side by side, so that the wait is one."""
    planted = [case.plant(room) for case in cases]
    twins = _plant_twins(room, cases)
    early = [_found_early(room, case, values) for case, values in zip(cases, planted)]
    time.sleep(age)
    results = [_try(room, case, values) for case, values in zip(cases, planted)]
    for result, errors in zip(results, early):
        result["errors"] += errors
    verdicts = _try_twins(room, cases, [*twins, *((None, values) for values in planted)])
    room.clear()
    return _joined(results, verdicts)


def _found_early(room: Room, case: Case, planted: Planted) -> list[str]:
    """What finds a case that has only begun: its age then proves nothing."""
    found = [name for name, column in case.found_by.items() if _finds(room.ask(SQL[name]), column, planted)]
    return [f"found by {name} at once" for name in found]


def _joined(results: list[dict[str, Any]], verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**result, **verdict} for result, verdict in zip(results, verdicts)]


def _try(room: Room, case: Case, planted: Optional[Planted] = None) -> dict[str, Any]:
    """Plant a case, unless that has been done, and ask the queries that must find it on both engines."""
    errors: list[str] = []
    missing = list(case.found_by)
    missing_there = list(case.found_by)
    rows: dict[str, list[Row]] = {}
    there: dict[str, list[Row]] = {}
    try:
        room.renew()
        planted = case.plant(room) if planted is None else planted
        end = time.monotonic() + _PATIENCE
        while True:
            rows.update({name: room.ask(SQL[name]) for name in missing})
            there.update({name: room.ask_osquery(SQL[name]) for name in missing_there})
            missing = [name for name in missing if not _finds(rows[name], case.found_by[name], planted)]
            missing_there = [name for name in missing_there if not _finds(there[name], case.found_by[name], planted)]
            if not (missing or missing_there) or time.monotonic() > end:
                break
            time.sleep(0.25)
            room.look_again()
        room.check_alive()
        for name in case.found_by:
            if name in missing_there:
                errors.append(f"on osquery not found by {name}")
            elif name not in missing:
                errors += _differences(name, _planted_rows(rows, there, name, case, planted))
    except EngineError as error:
        errors.append(str(error))
    except Exception:
        errors.append(traceback.format_exc())
    return {"case": case.name, "missing": missing, "rows": rows, "errors": errors}


def _planted_rows(
    here: Mapping[str, list[Row]], there: Mapping[str, list[Row]], name: str, case: Case, planted: Planted
) -> tuple[list[Row], list[Row]]:
    """What the query `name` said of the planted thing on either engine."""
    column = case.found_by[name]
    wanted = _values(planted, column)
    here_rows, there_rows = ([row for row in found[name] if not wanted or row[column] in wanted] for found in (here, there))
    return here_rows, there_rows


def _differences(name: str, both: tuple[list[Row], list[Row]]) -> list[str]:
    """How two engines' answers to one differential query differ; snapshots hold what changes with every call."""
    # A guard may have started it anew between the two engines' looks.
    here, there = ({tuple(sorted((k, v) for k, v in row.items() if k not in _OF_THE_MOMENT)) for row in rows} for rows in both)
    if QUERIES[name].snapshot or here == there:
        return []
    return [f"{name}: embedded says {sorted(here - there)}, osquery {sorted(there - here)}"]


def _finds(rows: list[Row], column: str, planted: Planted) -> bool:
    return bool(rows) and _values(planted, column) <= {row[column] for row in rows}


def _values(planted: Planted, column: str) -> set[str]:
    value = planted[column]
    return set(map(str, value if isinstance(value, tuple) else (value,)))


def _plant_twins(room: Room, cases: list[Case]) -> _Suspects:
    """The twins of all cases side by side."""
    planted: _Suspects = [(number, twin.plant(room)) for number, case in enumerate(cases) for twin in case.twins]
    room.package_programs()
    return planted


def _try_twins(
    room: Room, cases: list[Case], planted: Optional[_Suspects] = None, shares_pids: bool = False
) -> list[dict[str, Any]]:
    """Plant the twins, unless that has been done, and ask every detection; no row may come but of a case among them."""
    verdicts: list[dict[str, Any]] = [{"twin_rows": [], "twin_errors": []} for _ in cases]
    try:
        room.renew(is_triage=True)
        planted = _plant_twins(room, cases) if planted is None else planted
        for query in DETECTIONS:
            try:
                rows = room.ask(query.sql)
                # Found on one engine is enough to fail; a row that both give is named once.
                rows += [row for row in room.ask_osquery(query.sql) if row not in rows]
            except EngineError as error:
                for verdict in verdicts:
                    verdict["twin_errors"].append(f"{query.name}: {error}")
                continue
            for row in rows:
                blamed = {number for number, values in planted if _names(row, values)}
                # Nobody's row is everybody's failure, unless it is about a process that runs outside the room.
                if not blamed and not (shares_pids and "pid" in row):
                    blamed = set(range(len(cases)))
                for number in blamed:
                    if number is not None:
                        verdicts[number]["twin_rows"].append([query.name, row])
        room.check_alive()
    except Exception:
        for verdict in verdicts:
            verdict["twin_errors"].append(traceback.format_exc())
    return verdicts


def _names(row: Row, planted: Planted) -> bool:
    return any(row.get(column) in _values(planted, column) for column in planted)
