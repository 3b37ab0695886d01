"""Build dist/fleet/: the pack for `fleetctl apply` and for `fleetctl gitops`, of current and older servers, and agent options.

Formats: Fleet's docs/Configuration/{yaml-files,agent-configuration}.md and server/fleet/{queries,policies}.go. Fleet 4.82
renamed queries to reports and teams to fleets; the older kind is the same specification under its old name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from build import osquery_pack
from build.deliver import PACK, plain_sql, run
from extension.pack.model import Pack, Query, load_pack

LABEL = "minehunt"
# Fleet logs a result as pack/Global/NAME: with the pack's name in it, one rule in a SIEM fits osquery's own packs too.
PREFIX = "cryptominer_triage_"
_LOGGING = {"detection": "differential", "inventory": "differential", "evidence": "snapshot"}
_CRITICAL = ("critical", "high")
# Without the extension every other policy has no answer in Fleet, neither pass nor fail; this one then fails.
_LOADED_POLICY = {
    "name": f"{PREFIX}minehunt_extension_loaded",
    "query": osquery_pack.LOADED,
    "description": "osquery has loaded the minehunt extension. Where it has not, no other minehunt policy has an answer.",
    "resolution": "Install the minehunt package, then restart orbit: systemctl restart orbit. Why it is not loaded: journalctl "
    "-u orbit | grep -i extension. The file must be root's, mode 0755, and listed in /opt/orbit/extensions.load.",
    "platform": "linux",
    "critical": True,
}


def reports(pack: Pack) -> list[dict[str, Any]]:
    """The specifications of all scheduled queries; policies are not among them."""
    return [_report(query) for query in pack.queries() if query.kind != "policy"]


def _report(query: Query) -> dict[str, Any]:
    return {
        "name": PREFIX + query.name,
        "description": query.description.en,
        "query": plain_sql(query.sql),
        "interval": query.interval,
        "platform": "linux",
        "min_osquery_version": osquery_pack.OSQUERY_VERSION,
        "observer_can_run": True,
        # Evidence is looked at in Fleet; what calls for attention goes to the log destination.
        "automations_enabled": query.kind != "evidence",
        "logging": "snapshot" if query.snapshot else _LOGGING[query.kind],
        "discard_data": False,
    }


def policies(pack: Pack) -> list[dict[str, Any]]:
    """The specifications of all policies: one row or more passes."""
    return [_LOADED_POLICY, *(_policy(query) for query in pack.queries() if query.kind == "policy")]


def _policy(query: Query) -> dict[str, Any]:
    return {
        "name": PREFIX + query.name,
        "query": plain_sql(query.sql),
        "description": query.description.en,
        "resolution": query.response.en,
        "platform": "linux",
        "critical": query.severity in _CRITICAL,
    }


def labels() -> list[dict[str, Any]]:
    """The label of the hosts that have the extension."""
    return [
        {
            "name": LABEL,
            "description": "Hosts on which osquery has loaded the minehunt extension.",
            "query": osquery_pack.LOADED,
            "platform": "linux",
            "label_membership_type": "dynamic",
        }
    ]


def agent_options(pack: Pack) -> dict[str, Any]:
    """The part of agent_options that minehunt needs, with the pack in osquery's own form, which keeps `denylist: false`."""
    return {
        "config": {
            "options": {"logger_snapshot_event_type": True, "schedule_splay_percent": 10},
            "packs": {"cryptominer_triage": osquery_pack.pack_document(pack)},
        },
        "command_line_flags": {"extensions_timeout": 10, "extensions_interval": 3},
        "extensions": {"minehunt_linux": {"channel": "stable", "platform": "linux"}},
    }


def only_with_extension(specifications: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, kept to hosts with the label, so that no other host logs an error for a missing table."""
    return [{**specification, "labels_include_any": [LABEL]} for specification in specifications]


def escaped(value: Any) -> Any:
    r"""`value` with `$` as `\$` outside descriptions and resolutions: GitOps expands $VARIABLES everywhere else.

    Backslashes before it are doubled, since fleetctl halves them there (pkg/spec/spec.go, escapeString).
    """
    if isinstance(value, str):
        return re.sub(r"(\\*)\$", lambda match: match[1] * 2 + "\\$", value)
    if isinstance(value, dict):
        return {key: entry if key in ("description", "resolution") else escaped(entry) for key, entry in value.items()}
    return [escaped(entry) for entry in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as people do."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dump(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def _documents(kind: str, specifications: Iterable[dict[str, Any]]) -> str:
    return "---\n".join(_dump({"apiVersion": "v1", "kind": kind, "spec": spec}) for spec in specifications)


def build(destination: Path) -> None:
    """Write every file of dist/fleet/ into `destination`."""
    pack = load_pack(PACK)
    reported, checked = only_with_extension(reports(pack)), policies(pack)
    options = agent_options(pack)
    choice = "# Merge into agent_options. `extensions` is for a TUF server of your own; with the .deb or .rpm leave it out.\n"
    choice += "# `packs` is the whole pack in osquery's own form: an alternative to the reports, not an addition to them.\n"
    library = destination / "gitops" / "lib"
    library.mkdir(parents=True)
    files = {
        destination / "labels.yml": _documents("label", labels()),
        destination / "reports.yml": _documents("report", reported),
        destination / "queries.yml": "# For Fleet before 4.82.\n" + _documents("query", reports(pack)),
        destination / "policies.yml": _documents("policy", checked),
        destination / "agent_options.yml": choice + _dump({"agent_options": options}),
        library / "minehunt.labels.yml": _dump(escaped(labels())),
        library / "minehunt.reports.yml": _dump(escaped(reported)),
        library / "minehunt.queries.yml": "# For Fleet before 4.82.\n" + _dump(escaped(reports(pack))),
        library / "minehunt.policies.yml": _dump(escaped(checked)),
        library / "minehunt.agent-options.yml": choice + _dump(escaped(options)),
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """`python -m build.fleet FOLDER`."""
    return run("fleet", build)


if __name__ == "__main__":
    sys.exit(main())
