"""Build dist/fleet/: the pack for `fleetctl apply` and for `fleetctl gitops`, of current and older servers, and agent options.

Formats: Fleet's docs/Configuration/{yaml-files,agent-configuration}.md and server/fleet/{queries,policies}.go. Fleet 4.82
renamed queries to reports and teams to fleets; the older kind is the same specification under its old name. Reports for
labels, and policies that are critical, are refused by a server without a Premium licence: they have a folder of their own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from sqlglot import exp

from build import osquery_pack
from build.deliver import EVENTS, PACK, plain_sql, run
from extension.pack.model import Pack, Query, load_pack
from extension.pack.parts import GRAVE
from extension.sql_trees import sql_tree
from tables import discover

LABEL = "minehunt"
# Fleet logs a result as pack/Global/NAME: with the pack's name in it, one rule in a SIEM fits osquery's own packs too.
PREFIX = "cryptominer_triage_"
_LOGGING = {"detection": "differential", "inventory": "differential", "evidence": "snapshot"}
# Without the extension every other policy has no answer in Fleet, neither pass nor fail; this one then fails.
_LOADED_POLICY = {
    "name": f"{PREFIX}minehunt_extension_loaded",
    "query": osquery_pack.LOADED,
    "description": "osquery has loaded the minehunt extension. Where it has not, no other minehunt policy has an answer.",
    "resolution": "Install the minehunt package and let it keep the extension attached, whatever orbit loads itself: systemctl "
    "enable --now minehunt-attach. Why it is not attached: journalctl -u minehunt-attach.",
    "platform": "linux",
}
# Fleetd fetches the extension from a TUF server under one name a platform.
_PLATFORMS = {"minehunt_linux": "linux", "minehunt_linux_arm64": "linux-arm64"}
# An observer may read no command lines, in which people leave passwords, nor have every host walk its disks.
_TELLING = re.compile(r"cmdline|command|environment|content|line_text")
_WALKS_SECONDS = 60.0
_README = """\
# minehunt for Fleet

| file | for |
|---|---|
| `labels.yml` | the label `minehunt`: hosts on which osquery has loaded the extension |
| `reports.yml`, `policies.yml` | Fleet Free and Premium, 4.82 and newer |
| `premium/reports.yml`, `premium/policies.yml` | the same for Premium: reports run on hosts with the label only, and the \
gravest policies are critical. Fleet Free answers "payment required" to both |
| `queries.yml` | Fleet before 4.82, instead of `reports.yml` |
| `agent_options.yml` | flags, and the whole pack in osquery's own form: on Free the way to run it only where the extension is, \
by the pack's `discovery` |
| `gitops/lib/`, `gitops/default.yml` | the same for `fleetctl gitops`, and what to add to your `default.yml` |

Apply either the reports or the pack in `agent_options.yml`, not both. **GitOps deletes what its files do not list**: add the
paths of `gitops/default.yml` to yours; do not put it in the place of yours.

Fleetd rewrites `/opt/orbit/extensions.load` at its start, so a line of ours in it does not last. `systemctl enable --now
minehunt-attach` keeps the extension at orbit's, or osquery's, socket instead; with a TUF server of your own, the `extensions` of
`agent_options.yml` do (upload `minehunt.ext` under both names, the same file for x86-64 and arm64).
"""
_EVENTS_HEAD = "# For hosts whose osquery records events; elsewhere these give no row.\n"
_DEFAULT = """\
# Add these to your default.yml: GitOps deletes labels, reports and policies that no file of yours lists.
labels:
  - path: ./lib/minehunt.labels.yml
reports:  # Premium: ./lib/premium/minehunt.reports.yml; before 4.82: queries: with ./lib/minehunt.queries.yml
  - path: ./lib/minehunt.reports.yml
policies:  # Premium: ./lib/premium/minehunt.policies.yml
  - path: ./lib/minehunt.policies.yml
agent_options:  # one file: merge what you have into it
  path: ./lib/minehunt.agent-options.yml
"""


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
        "observer_can_run": _is_for_observers(query),
        # Evidence is looked at in Fleet; what calls for attention goes to the log destination.
        "automations_enabled": query.kind != "evidence",
        "logging": "snapshot" if query.snapshot else _LOGGING[query.kind],
        "discard_data": False,
    }


def _is_for_observers(query: Query) -> bool:
    tree = sql_tree(query.sql)
    if not isinstance(tree, exp.Query):
        return False
    tables = {table.name for table in tree.find_all(exp.Table)}
    walks = any(name in tables and table.budget_seconds >= _WALKS_SECONDS for name, table in discover().items())
    return not walks and not any(_TELLING.search(column) for column in tree.named_selects)


def policies(pack: Pack) -> list[dict[str, Any]]:
    """The specifications of all policies: one row or more passes. `critical` is for Premium."""
    return [{**_LOADED_POLICY, "critical": True}, *(_policy(query) for query in pack.queries() if query.kind == "policy")]


def _policy(query: Query) -> dict[str, Any]:
    return {
        "name": PREFIX + query.name,
        "query": plain_sql(query.sql),
        "description": query.description.en,
        "resolution": "\n".join(step.shown("en") for step in query.response),
        "platform": "linux",
        "critical": query.severity in GRAVE,
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
        "extensions": {name: {"channel": "stable", "platform": platform} for name, platform in _PLATFORMS.items()},
    }


def only_with_extension(specifications: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, kept to hosts with the label, so that no other host logs an error for a missing table."""
    return [{**specification, "labels_include_any": [LABEL]} for specification in specifications]


def without(key: str, specifications: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without a key that Fleet Free refuses."""
    return [{name: value for name, value in specification.items() if name != key} for specification in specifications]


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
    reported, checked = reports(pack), policies(pack)
    options = agent_options(pack)
    choice = "# Merge into agent_options. `extensions` is for a TUF server of your own; with the .deb or .rpm leave it out.\n"
    choice += "# `packs` is the whole pack in osquery's own form: an alternative to the reports, not an addition to them.\n"
    for folder, labelled, judged in (
        ("", reported, without("critical", checked)),
        ("premium/", only_with_extension(reported), checked),
    ):
        library = destination / "gitops" / "lib" / folder
        library.mkdir(parents=True)
        (destination / folder).mkdir(exist_ok=True)
        _write_both(destination / folder / "reports.yml", library / "minehunt.reports.yml", "report", labelled)
        _write_both(destination / folder / "policies.yml", library / "minehunt.policies.yml", "policy", judged)
    library = destination / "gitops" / "lib"
    _write(destination / "README.md", _README)
    events = reports(load_pack(EVENTS))
    _write_both(destination / "events.reports.yml", library / "minehunt-events.reports.yml", "report", events, _EVENTS_HEAD)
    _write_both(destination / "labels.yml", library / "minehunt.labels.yml", "label", labels())
    _write_both(destination / "queries.yml", library / "minehunt.queries.yml", "query", reported, "# For Fleet before 4.82.\n")
    _write(destination / "agent_options.yml", choice + _dump({"agent_options": options}))
    _write(destination / "gitops" / "default.yml", _DEFAULT)
    _write(library / "minehunt.agent-options.yml", choice + _dump(escaped(options)))


def _write_both(applied: Path, gitops: Path, kind: str, specifications: list[dict[str, Any]], head: str = "") -> None:
    """The same specifications for `fleetctl apply` and for `fleetctl gitops`."""
    _write(applied, head + _documents(kind, specifications))
    _write(gitops, head + _dump(escaped(specifications)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """`python -m build.fleet FOLDER`."""
    return run("fleet", build)


if __name__ == "__main__":
    sys.exit(main())
