"""The Fleet deliverables, read as fleetctl reads them (fleetdm/fleet pkg/spec/{spec,gitops}.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from build import fleet, osquery_pack
from build.deliver import plain_sql
from extension.pack import load_pack, shipped_pack

PACK = load_pack(shipped_pack())
REPORT_KEYS = {
    "name", "description", "query", "fleet", "interval", "platform", "min_osquery_version", "observer_can_run",
    "automations_enabled", "logging", "discard_data", "labels_include_any",
}  # fmt: skip
POLICY_KEYS = {"name", "query", "description", "resolution", "platform", "critical", "labels_include_any"}
LABEL_KEYS = {"name", "description", "query", "platform", "label_membership_type"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    fleet.build(folder)
    return folder


def applied(path: Path, kind: str) -> list[dict[str, Any]]:
    """The specifications that `fleetctl apply` finds in a file of one kind."""
    found = []
    for document in re.split(r"(?m)^---.*$", path.read_text(encoding="utf-8")):
        parsed = yaml.safe_load(document)
        assert parsed.keys() == {"apiVersion", "kind", "spec"}
        assert (parsed["apiVersion"], parsed["kind"]) == ("v1", kind)
        found.append(parsed["spec"])
    return found


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from strings(entry, str(name))
    elif isinstance(value, list):
        for entry in value:
            yield from strings(entry, key)


def expanded(value: Any, key: str = "") -> Any:
    """A GitOps document with its environment variables filled in; none is set, so each unescaped one is an error."""
    if isinstance(value, str) and key not in ("description", "resolution"):
        assert not re.search(r"(?<!\\)\$(\w|\{)", value), value
        return value.replace("\\$", "$")
    if isinstance(value, dict):
        return {name: expanded(entry, name) for name, entry in value.items()}
    return [expanded(entry, key) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("file", "kind"), [("reports.yml", "report"), ("queries.yml", "query")])
def test_every_scheduled_query_is_there(built: Path, file: str, kind: str) -> None:
    specifications = {spec["name"]: spec for spec in applied(built / file, kind)}
    scheduled = {fleet.PREFIX + query.name: query for query in PACK.queries() if query.kind != "policy"}
    assert specifications.keys() == scheduled.keys()
    for name, query in scheduled.items():
        spec = specifications[name]
        assert spec.keys() <= REPORT_KEYS
        assert (spec["platform"], spec["interval"], spec["query"]) == ("linux", query.interval, plain_sql(query.sql))
        if query.kind == "detection":
            assert spec["automations_enabled"] and spec["logging"] == ("snapshot" if query.snapshot else "differential")
        if query.kind == "evidence":
            assert spec["logging"] == "snapshot"


def test_older_servers_get_no_label_that_they_do_not_know(built: Path) -> None:
    assert all("labels_include_any" not in spec for spec in applied(built / "queries.yml", "query"))
    assert all(spec["labels_include_any"] == [fleet.LABEL] for spec in applied(built / "reports.yml", "report"))


def test_every_policy_says_how_to_pass(built: Path) -> None:
    specifications = {spec["name"]: spec for spec in applied(built / "policies.yml", "policy")}
    policies = {fleet.PREFIX + query.name for query in PACK.queries() if query.kind == "policy"}
    assert specifications.keys() == policies | {f"{fleet.PREFIX}minehunt_extension_loaded"}
    for spec in specifications.values():
        assert spec.keys() <= POLICY_KEYS
        assert spec["resolution"] and isinstance(spec["critical"], bool)


def test_a_missing_extension_fails_a_policy_that_does_not_need_it(built: Path) -> None:
    (policy,) = [spec for spec in applied(built / "policies.yml", "policy") if spec["name"].endswith("extension_loaded")]
    assert set(re.findall(r"FROM (\w+)", policy["query"])) == {"osquery_extensions"}


def test_the_label_finds_the_hosts_that_have_the_extension(built: Path) -> None:
    (label,) = applied(built / "labels.yml", "label")
    assert label.keys() == LABEL_KEYS
    assert label["name"] == fleet.LABEL


@pytest.mark.parametrize("name", ["labels", "reports", "queries", "policies"])
def test_a_gitops_library_holds_the_same_as_a_bare_list(built: Path, name: str) -> None:
    listed = yaml.safe_load((built / "gitops/lib" / f"minehunt.{name}.yml").read_text(encoding="utf-8"))
    kind = {"policies": "policy", "queries": "query"}.get(name, name.rstrip("s"))
    assert expanded(listed) == applied(built / f"{name}.yml", kind)


def test_the_pack_has_something_to_escape(built: Path) -> None:
    assert any("$" in query.sql for query in PACK.queries())


def test_agent_options_carry_the_pack_the_flags_and_the_extension(built: Path) -> None:
    options = yaml.safe_load((built / "agent_options.yml").read_text(encoding="utf-8"))["agent_options"]
    assert options["config"]["packs"]["cryptominer_triage"] == osquery_pack.pack_document(PACK)
    assert options["extensions"] == {"minehunt_linux": {"channel": "stable", "platform": "linux"}}
    # This flag would keep osquery from starting on the hosts of a fleet that have no extension.
    assert "extensions_require" not in options["command_line_flags"]
    escaped = yaml.safe_load((built / "gitops/lib/minehunt.agent-options.yml").read_text(encoding="utf-8"))
    assert expanded(escaped) == options
    assert any("$" in text for _, text in strings(options))
