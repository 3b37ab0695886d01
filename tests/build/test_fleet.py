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
from extension.pack.model import load_pack, shipped_pack

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


def gitops(path: Path) -> Any:
    """A GitOps file as fleetctl reads it, with no environment variable set: an unescaped one is then an error.

    Of an odd number of backslashes before `$` half are kept and the `$` is literal; an even number is left alone. In
    descriptions and resolutions nothing is expanded.
    """
    text = path.read_text(encoding="utf-8")
    literal = re.sub(r"(\\+)\$", lambda m: m[0] if len(m[1]) % 2 == 0 else "\\" * (len(m[1]) // 2) + "\0", text)
    zones = [m.span() for m in re.finditer(r"^\s*(?:resolution|description):(?:.|\n)*?(?:^\s+\w+:|\Z)", literal, re.MULTILINE)]
    for found in re.finditer(r"\$[\w{*#$@!?-]", literal):
        assert any(start <= found.start() < end for start, end in zones), literal[found.start() - 40 : found.end() + 40]
    return yaml.safe_load(literal.replace("\0", "$"))


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


def test_free_and_older_servers_get_nothing_that_they_refuse(built: Path) -> None:
    for file, kind in (("queries.yml", "query"), ("reports.yml", "report"), ("policies.yml", "policy")):
        assert not any({"labels_include_any", "critical"} & spec.keys() for spec in applied(built / file, kind))
    assert all(spec["labels_include_any"] == [fleet.LABEL] for spec in applied(built / "premium/reports.yml", "report"))
    assert {spec["critical"] for spec in applied(built / "premium/policies.yml", "policy")} == {True, False}


def test_both_have_the_same_but_for_that(built: Path) -> None:
    for file, kind, key in (("reports.yml", "report", "labels_include_any"), ("policies.yml", "policy", "critical")):
        assert applied(built / file, kind) == fleet.without(key, applied(built / "premium" / file, kind))


def test_an_observer_runs_nothing_that_shows_command_lines_or_walks_disks(built: Path) -> None:
    allowed = {spec["name"]: spec["observer_can_run"] for spec in applied(built / "reports.yml", "report")}
    for name, is_allowed in {
        "process_tree": False, "cron_jobs": False, "recent_programs": False, "miner_config_file": False,
        "uid_zero_account": True, "kernel_modules": True,
    }.items():  # fmt: skip
        assert allowed[f"{fleet.PREFIX}{name}"] is is_allowed, name


def test_what_gitops_is_told_to_read_is_there(built: Path) -> None:
    text = (built / "gitops/default.yml").read_text(encoding="utf-8")
    named = re.findall(r"\./lib/[\w./-]+\.yml", text)
    assert len(named) == 7 and all((built / "gitops" / name).is_file() for name in named)
    assert "deletes" in text


def test_every_policy_says_how_to_pass(built: Path) -> None:
    specifications = {spec["name"]: spec for spec in applied(built / "policies.yml", "policy")}
    policies = {fleet.PREFIX + query.name for query in PACK.queries() if query.kind == "policy"}
    assert specifications.keys() == policies | {f"{fleet.PREFIX}minehunt_extension_loaded"}
    for spec in specifications.values():
        assert spec.keys() <= POLICY_KEYS and spec["resolution"]


def test_a_missing_extension_fails_a_policy_that_does_not_need_it(built: Path) -> None:
    (policy,) = [spec for spec in applied(built / "policies.yml", "policy") if spec["name"].endswith("extension_loaded")]
    assert set(re.findall(r"FROM (\w+)", policy["query"])) == {"osquery_extensions"}


def test_the_label_finds_the_hosts_that_have_the_extension(built: Path) -> None:
    (label,) = applied(built / "labels.yml", "label")
    assert label.keys() == LABEL_KEYS
    assert label["name"] == fleet.LABEL


@pytest.mark.parametrize("name", ["labels", "reports", "queries", "policies", "premium/reports", "premium/policies"])
def test_a_gitops_library_holds_the_same_as_a_bare_list(built: Path, name: str) -> None:
    folder, _, name = name.rpartition("/")
    kind = {"policies": "policy", "queries": "query"}.get(name, name.rstrip("s"))
    assert gitops(built / "gitops/lib" / folder / f"minehunt.{name}.yml") == applied(built / folder / f"{name}.yml", kind)


@pytest.mark.parametrize("text", ["$", "a$b", "${HOME}", r"\$", r"\\$x", r"(nologin|false)$", r"\$\{?HOME\}?", "$$", r"end\\"])
def test_whatever_stands_before_a_dollar_survives_gitops(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.yml").write_text(yaml.safe_dump(fleet.escaped({"query": f"'{text}'"})))
    assert gitops(tmp_path / "file.yml") == {"query": f"'{text}'"}


def test_the_pack_has_something_to_escape(built: Path) -> None:
    assert any("$" in query.sql for query in PACK.queries())


def test_agent_options_carry_the_pack_the_flags_and_the_extension(built: Path) -> None:
    options = yaml.safe_load((built / "agent_options.yml").read_text(encoding="utf-8"))["agent_options"]
    assert options["config"]["packs"]["cryptominer_triage"] == osquery_pack.pack_document(PACK)
    assert options["extensions"] == {
        "minehunt_linux": {"channel": "stable", "platform": "linux"},
        "minehunt_linux_arm64": {"channel": "stable", "platform": "linux-arm64"},
    }
    # This flag would keep osquery from starting on the hosts of a fleet that have no extension.
    assert "extensions_require" not in options["command_line_flags"]
    assert gitops(built / "gitops/lib/minehunt.agent-options.yml") == options
    assert any("$" in text for _, text in strings(options))
