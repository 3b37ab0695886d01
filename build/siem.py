"""Build dist/siem/: one Sigma rule per detection, converted for five query languages, and ECS mappings for Elastic.

Sigma's specification 2.0 knows no log source of osquery's; here it is product linux, service osquery, and the fields are those
of osquery's result line (docs/wiki/deployment/logging.md): name, action, hostIdentifier, columns.*.
"""

from __future__ import annotations

import datetime
import json
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import yaml
from sigma.backends.elasticsearch import ESQLBackend, LuceneBackend
from sigma.backends.loki import LogQLBackend
from sigma.backends.splunk import SplunkBackend
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline

from build.deliver import EVENTS, PACK, ROOT, BuildError, plain_sql, run, source_date
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import Pack, Query, load_pack
from tables.host import Host

PIPELINES = ROOT / "build" / "siem_pipelines"
# file of converted rules: Sigma backend, and the pipeline for the field names of what it is sent to
BACKENDS: Mapping[str, tuple[Any, Optional[str]]] = {
    "elastic_esql": (ESQLBackend, "elastic_osquery"),
    "elastic_lucene": (LuceneBackend, "elastic_osquery"),
    "loki": (LogQLBackend, "loki"),
    "splunk": (SplunkBackend, "splunk_ta_osquery"),
    "splunk_fleet": (SplunkBackend, "splunk_fleet"),
    "sqlite": (sqliteBackend, None),
    "wazuh_lucene": (LuceneBackend, "wazuh"),
}
# Result names of a pack's query: osquery's own, the native pack in Fleet, and Fleet's reports for all hosts and for a team.
_RESULT_NAMES = (
    "pack_cryptominer_triage_{}",
    "pack/cryptominer_triage/{}",
    "pack/Global/cryptominer_triage_{}",
    "pack/team-*/cryptominer_triage_{}",
)
# Of a pack of events osquery has one for each kind of event; in Fleet its reports are named like the others.
_RESULT_NAMES_OF_EVENTS = (
    "pack_cryptominer_events_*_{}",
    "pack/cryptominer_events_*/{}",
    *_RESULT_NAMES[2:],
)
_FIRST_RULES = "2026-11-23"
# Columns of the pack's results in the Elastic Common Schema 8 (elastic.co/guide/en/ecs).
_ECS = {
    "pid": "process.pid", "process_name": "process.name", "cmdline": "process.command_line", "exe_path": "process.executable",
    "exe_sha256": "process.hash.sha256", "cwd": "process.working_directory", "parent": "process.parent.pid",
    "parent_name": "process.parent.name", "owner_uid": "user.id", "username": "user.name", "container_id": "container.id",
    "local_address": "source.ip", "local_port": "source.port", "remote_address": "destination.ip",
    "remote_port": "destination.port", "path": "file.path", "sha256": "file.hash.sha256", "evidence": "event.reason",
}  # fmt: skip


def rule_id(query: Query) -> str:
    """The rule's UUID, the same for ever: made from the query's name (RFC 9562, version 5)."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"minehunt:detection:{query.name}"))


def sigma_rule(query: Query, columns: list[str]) -> dict[str, Any]:
    """The Sigma rule for one detection, whose result has these columns.

    `removed` lines never match: a miner that ended is no alert. Lines with counter 0, the first result, do: a host that is
    infected when minehunt comes must be told of.
    """
    names = _RESULT_NAMES_OF_EVENTS if query.file.parent.name == EVENTS.name else _RESULT_NAMES
    return {
        "title": f"minehunt {query.name.replace('_', ' ')}",
        "id": rule_id(query),
        "status": "test",
        "description": query.description.en,
        "author": "minehunt",
        "date": _FIRST_RULES,
        "modified": datetime.datetime.fromtimestamp(source_date(), datetime.timezone.utc).date().isoformat(),
        "tags": [f"attack.{technique.lower()}" for technique in query.attack],
        "logsource": {"product": "linux", "service": "osquery"},
        "detection": {
            "selection": {
                "name": [name.format(query.name) for name in names],
                "action": "snapshot" if query.snapshot else "added",
            },
            "condition": "selection",
        },
        "fields": ["hostIdentifier", *(f"columns.{column}" for column in columns)],
        "falsepositives": [text.en for text in query.false_positives] or ["None known."],
        "level": query.severity,
    }


def converted(rules: Mapping[str, str], target: str) -> dict[str, str]:
    """The queries in the language of `target`, one of BACKENDS, for Sigma rules given as YAML by name."""
    backend, pipeline = BACKENDS[target]
    text = (PIPELINES / f"{pipeline}.yml").read_text(encoding="utf-8") if pipeline else ""
    language = backend(processing_pipeline=ProcessingPipeline.from_yaml(text) if text else None)
    return {name: _converted(language, name, rule) for name, rule in rules.items()}


def _converted(language: Any, name: str, rule: str) -> str:
    try:
        (query,) = language.convert(SigmaCollection.from_yaml(rule))
    except (SigmaError, ValueError) as error:
        raise BuildError(f"{name}: {type(language).__name__} cannot express it: {error}") from None
    return str(query)


def ecs_mapping(query: Query, columns: list[str]) -> dict[str, dict[str, str]]:
    """How Elastic's osquery manager shall put this query's columns into its common schema."""
    mapping = {ecs: {"field": column} for column, ecs in _ECS.items() if column in columns}
    fixed = {"rule.name": query.name, "rule.uuid": rule_id(query), "event.kind": "alert", "threat.framework": "MITRE ATT&CK"}
    if query.kind == "detection":
        mapping.update({field: {"value": value} for field, value in fixed.items()})
    return mapping


def manager_pack(pack: Pack, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """The pack as Kibana's osquery manager imports it."""
    queries = {
        query.name: {
            "query": plain_sql(query.sql),
            "interval": query.interval,
            "snapshot": query.snapshot,
            "removed": not query.snapshot,
            "platform": "linux",
            "ecs_mapping": ecs_mapping(query, columns[query.name]),
        }
        for query in pack.queries()
    }
    return {"queries": queries}


def build(destination: Path) -> None:
    """Write every file of dist/siem/ into `destination`."""
    pack = load_pack(PACK)
    engine = EmbeddedEngine(Host())
    queries = [*pack.queries(), *load_pack(EVENTS).queries()]
    columns = {query.name: engine.column_names(query.sql) for query in queries}
    engine.close()
    detections = [query for query in queries if query.kind == "detection"]
    rules = {query.name: _yaml(sigma_rule(query, columns[query.name])) for query in detections}
    for folder in ("sigma", "queries", "elastic"):
        (destination / folder).mkdir(parents=True)
    for name, rule in rules.items():
        (destination / "sigma" / f"minehunt_{name}.yml").write_text(rule, encoding="utf-8")
    for target in BACKENDS:
        (destination / "queries" / f"{target}.yml").write_text(_yaml(converted(rules, target)), encoding="utf-8")
    shutil.copytree(PIPELINES, destination / "pipelines", copy_function=shutil.copyfile)
    document = json.dumps(manager_pack(pack, columns), indent=2, ensure_ascii=False) + "\n"
    (destination / "elastic" / "osquery_manager_pack.json").write_text(document, encoding="utf-8")


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def main() -> int:
    """`python -m build.siem FOLDER`."""
    return run("siem", build)


if __name__ == "__main__":
    sys.exit(main())
