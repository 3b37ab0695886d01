"""Build dist/osquery/: the pack as osquery reads it, and the smallest configuration that loads the extension and runs it.

Formats: osquery's docs/wiki/deployment/{configuration,extensions,logging}.md and osquery/config/packs.cpp.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from build.deliver import EVENTS, PACK, plain_sql, run
from extension.pack.discovery import entry_of
from extension.pack.model import Pack, Query, load_pack

# The oldest osquery whose SQLite and functions the pack's SQL needs (design.md).
OSQUERY_VERSION = "5.12.0"
EXTENSION_PATH = "/usr/lib/minehunt/minehunt.ext"
PACK_PATH = "/etc/minehunt/cryptominer_triage.conf"
_LOAD_PATH = "/etc/osquery/extensions.load"

# Command-line flags: what osquery reads before, or does not take from, its configuration.
FLAGS = f"""\
--config_plugin=filesystem
--config_path=/etc/osquery/osquery.conf
--disable_extensions=false
--extensions_autoload={_LOAD_PATH}
--extensions_require=minehunt
--extensions_timeout=10
--extensions_interval=3
--host_identifier=uuid
--logger_plugin=filesystem
--logger_path=/var/log/osquery
--logger_rotate=true
--logger_rotate_size=26214400
--logger_rotate_max_files=10
--logger_snapshot_event_type=true
--schedule_splay_percent=10
"""
LOADED = "SELECT name, version, sdk_version FROM osquery_extensions WHERE name = 'minehunt'"
CONFIGURATION: dict[str, Any] = {
    "decorators": {
        "load": [
            "SELECT uuid AS host_uuid FROM system_info",
            "SELECT hostname FROM system_info",
            "SELECT version AS minehunt_version FROM osquery_extensions WHERE name = 'minehunt'",
        ]
    },
    # Says hourly that the extension is there: a table that is missing is an error in the status log, not a result.
    "schedule": {
        "minehunt_loaded": {"query": LOADED, "interval": 3600, "snapshot": True, "platform": "linux", "denylist": False}
    },
    "packs": {"cryptominer_triage": PACK_PATH},
}


def pack_document(pack: Pack) -> dict[str, Any]:
    """The pack as a mapping that osquery takes for a pack."""
    return {
        "platform": "linux",
        "version": OSQUERY_VERSION,
        "queries": {query.name: _query(query) for query in pack.queries()},
    }


def event_documents(pack: Pack) -> dict[str, dict[str, Any]]:
    """A pack of events by name, one for each of its entries of discovery: osquery asks that before it schedules the queries."""
    return {
        f"{pack.name}_{name}": {
            "platform": "linux",
            "version": OSQUERY_VERSION,
            "discovery": [entry.sql],
            "queries": {query.name: _query(query) for query in pack.queries() if entry_of(pack, query) == name},
        }
        for name, entry in pack.discovery.items()
    }


def _query(query: Query) -> dict[str, Any]:
    return {
        "query": plain_sql(query.sql),
        "interval": query.interval,
        "snapshot": query.snapshot,
        "removed": not query.snapshot,
        "platform": "linux",
        "version": OSQUERY_VERSION,
        "description": query.description.en,
        "value": f"{query.severity} {query.kind}; {', '.join(query.attack)}".rstrip("; "),
        # A restart of osqueryd during a query looks like a crash to it; the query must not then be silent for a day.
        "denylist": False,
    }


def build(destination: Path) -> None:
    """Write the packs, osquery.conf, osquery.flags and extensions.load into `destination`."""
    documents = {"cryptominer_triage.conf": pack_document(load_pack(PACK)), "osquery.conf": CONFIGURATION}
    documents.update({f"{name}.conf": document for name, document in event_documents(load_pack(EVENTS)).items()})
    for name, document in documents.items():
        (destination / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (destination / "osquery.flags").write_text(FLAGS)
    (destination / "extensions.load").write_text(EXTENSION_PATH + "\n")


def main() -> int:
    """`python -m build.osquery_pack FOLDER`."""
    return run("osquery_pack", build)


if __name__ == "__main__":
    sys.exit(main())
