"""What pipelines make of an osquery result, turned back into osquery's own line.

Pure functions on JSON values. A record has osquery's keys (docs/wiki/deployment/logging.md, osquery/core/query.cpp): name,
hostIdentifier, unixTime, epoch, counter, decorations, and one of `columns` with `action`, `diffResults`, `snapshot`.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

Record = dict[str, Any]
# Queries that fail are told in osquery's status log; a record of this name says so.
STATUS = "osquery_status"
_FAILED = "Error executing scheduled query "
# What osqueryd says after its start of a query that was running when it was killed, and denylists for a day.
_KILLED = "Scheduled query may have failed: "
# Where shippers put the line that they carry, as text or as an object (Filebeat, Fluentd, Kafka, Splunk, Elasticsearch, Kinesis).
_CARRIERS = (
    "_source",
    "event",
    "message",
    "log",
    "value",
    "data",
    "Data",
    "payload",
    "record",
    "result",
    "line",
    "_raw",
    "json",
    "osquery",
)
_MAX_DEPTH = 6


def records(document: Any, depth: int = 0) -> Iterator[Record]:
    """The records in a JSON value of any pipeline's form; none when there is none in it."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(document, list):
        for part in document:
            yield from records(part, depth + 1)
    elif isinstance(document, str):
        inner = _json_text(document)
        if inner is not None:
            yield from records(inner, depth + 1)
    elif isinstance(document, dict):
        yield from _of_mapping(document, depth)


def _of_mapping(document: Mapping[str, Any], depth: int) -> Iterator[Record]:
    if isinstance(document.get("steps"), list) and isinstance(document.get("host"), dict):
        yield from _triage(document)
    elif isinstance(document.get("name"), str) and _has_rows(document):
        yield dict(document)
    elif "severity" in document and str(document.get("message", "")).startswith((_FAILED, _KILLED)):
        yield _failure(document)
    elif (elastic := _elastic(document)) is not None:
        yield elastic
    elif document.get("log_type") in ("result", "status") and isinstance(document.get("data"), list):
        yield from records(document["data"], depth + 1)
    else:
        for key in _CARRIERS:
            if isinstance(document.get(key), (str, dict, list)):
                found = list(records(document[key], depth + 1))
                if found:
                    yield from found
                    return
        for key in ("hits", "Records", "records", "events", "results"):
            if isinstance(document.get(key), (list, dict)):
                yield from records(document[key], depth + 1)


def _has_rows(document: Mapping[str, Any]) -> bool:
    """Whether one of osquery's forms of rows is there, in its shape; older osqueryds write an empty snapshot as ""."""
    snapshot = document.get("snapshot")
    rows = isinstance(document.get("columns"), dict) or isinstance(document.get("diffResults"), dict)
    return rows or isinstance(snapshot, list) or snapshot == ""


def _json_text(text: str) -> Optional[Union[dict[str, Any], list[Any]]]:
    """The JSON object or array in `text`, also in base64 as Kinesis and Kafka's tools print it."""
    head = text.lstrip()[:1]
    try:
        if head not in ("{", "["):
            text = base64.b64decode(text, validate=True).decode()
        value = json.loads(text)
    except (ValueError, binascii.Error, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _failure(document: Mapping[str, Any]) -> Record:
    message = str(document["message"])
    if message.startswith(_KILLED):
        query, why = message[len(_KILLED) :], "osqueryd was killed while it ran"
    else:
        query, _, why = message[len(_FAILED) :].partition(": ")
    return {
        "name": STATUS,
        "hostIdentifier": document.get("hostIdentifier", ""),
        "unixTime": document.get("unixTime", 0),
        "decorations": document.get("decorations", {}),
        "action": "snapshot",
        "columns": {"failed_query": query, "why": why},
    }


def _elastic(document: Mapping[str, Any]) -> Optional[Record]:
    """A document of Filebeat's osquery module or of Elastic's integration (osquery.result.*, nested or with dotted keys)."""
    flat = _flattened(document)
    prefix = "osquery.result."
    name = flat.get(prefix + "name") or flat.get("rule.name")
    columns = {key[len(prefix) + 8 :]: value for key, value in flat.items() if key.startswith(prefix + "columns.")}
    if isinstance(name, str) and (columns or prefix + "action" in flat):
        decorations = {key[len(prefix) + 12 :]: value for key, value in flat.items() if key.startswith(prefix + "decorations.")}
        if flat.get("host.id"):
            decorations.setdefault("host_uuid", flat["host.id"])
        return {
            "name": name,
            "hostIdentifier": flat.get(prefix + "host_identifier") or flat.get("host.hostname", ""),
            "unixTime": flat.get(prefix + "unix_time") or _seconds(flat.get("@timestamp")),
            "epoch": flat.get(prefix + "epoch", 0),
            "counter": flat.get(prefix + "counter", 0),
            "decorations": decorations,
            "columns": columns,
            "action": flat.get(prefix + "action") or flat.get("event.action") or "added",
        }
    name = flat.get("schedule_id") or flat.get("action_data.id")
    managed = {
        key[8:]: value for key, value in flat.items() if key.startswith("osquery.") and not key.startswith("osquery.result")
    }
    if isinstance(name, str) and managed:
        # osquery_manager: one document a row of a snapshot.
        return {
            "name": name,
            "hostIdentifier": flat.get("host.hostname") or flat.get("agent.name", ""),
            "action": "snapshot",
            "unixTime": _seconds(flat.get("@timestamp")),
            "columns": managed,
            "decorations": {"host_uuid": flat["host.id"]} if flat.get("host.id") else {},
        }
    return None


def _flattened(document: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict) and depth < 6:
            flat.update(_flattened(value, f"{prefix}{key}.", depth + 1))
        else:
            flat[prefix + key] = value
    return flat


def _seconds(moment: Any) -> int:
    """Unix seconds of an ISO 8601 text or a number (milliseconds too), 0 when it is neither."""
    if isinstance(moment, (int, float)):
        return int(moment / 1000 if moment > 1e11 else moment)
    try:
        return int(datetime.datetime.fromisoformat(str(moment).replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return 0


def _triage(document: Mapping[str, Any]) -> Iterator[Record]:
    """A report of `minehunt triage --format json` (triage.schema.json): each query's rows are one snapshot."""
    host = {key: str(value) for key, value in document["host"].items() if isinstance(value, (str, int))}
    common: dict[str, Any] = {
        "hostIdentifier": host.get("hostname", ""),
        "unixTime": _seconds(document.get("finished") or document.get("started")),
        "decorations": {"minehunt_triage": "1", **{key: host[key] for key in ("hostname", "host_uuid", "uuid") if host.get(key)}},
    }
    common["decorations"]["minehunt_version"] = str(document.get("minehunt", ""))
    if host.get("user"):
        common["decorations"]["user"] = host["user"]
    for step in document["steps"]:
        for query in step.get("queries", ()) if isinstance(step, dict) else ():
            if not isinstance(query, dict) or not isinstance(query.get("name"), str):
                continue
            status = query.get("status")
            if status in ("error", "needs-root", "incomplete"):
                columns = {"failed_query": query["name"], "why": str(query.get("error") or status)}
                yield {**common, "name": STATUS, "action": "snapshot", "columns": columns}
            if status not in ("error", "needs-root", "not-applicable"):
                yield {**common, "name": query["name"], "action": "snapshot", "snapshot": query.get("rows", [])}
