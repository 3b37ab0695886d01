"""Each product's file is whole: every rule is in it, says what the pack says, and no text of it leaves its place."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from build.siem import elastalert, elastic, loki, panther, splunk, wazuh
from build.siem.guide import PRODUCTS, guide
from build.siem.languages import converted, sigma_text
from build.siem.rules import Rule, all_rules, one_line
from extension.pack.model import Text

RULES = all_rules()
HOSTILE = (
    'end" ]]> </description><rule id="1" level="0"> [stanza]\nsearch = x\n{{ $labels.x }} {% x %} $(id) ${x} '
    "$name$ `m` ''' \"\"\"\\\nx: [y\n\t- a\r\n\x00\x1b[31m | trailing \\"
)


@pytest.fixture(scope="module")
def hostile() -> Rule:
    text = Text(HOSTILE, HOSTILE)
    query = dataclasses.replace(RULES["hidden_processes"].query, description=text, false_positives=(text, text))
    return dataclasses.replace(RULES["hidden_processes"], query=query)


def both(hostile: Rule) -> dict[str, Rule]:
    """A rule of hostile texts, and one behind it that must come out whole."""
    return {"hidden_processes": hostile, "pool_connection": RULES["pool_connection"]}


def conf(path: Path) -> configparser.RawConfigParser:
    """A .conf file as Splunk reads it; a line that ends in a backslash goes on."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = path.read_text(encoding="utf-8")
    assert not any(line.endswith("\\") for line in text.splitlines())
    parser.read_string(text)
    return parser


def test_a_text_stays_on_its_line(hostile: Rule) -> None:
    assert "\n" in HOSTILE and one_line(HOSTILE) == hostile.description
    assert hostile.description.isprintable() and "  " not in hostile.description


def test_a_teams_number_is_one_part_of_a_name() -> None:
    pattern = RULES["hidden_processes"].names_pattern
    assert re.fullmatch(pattern, "pack/team-17/cryptominer_triage_hidden_processes")
    assert not re.fullmatch(pattern, "pack/team-1/x/cryptominer_triage_hidden_processes")


def test_splunks_app_has_an_alert_for_each_rule(tmp_path: Path) -> None:
    splunk.write(tmp_path, RULES, "1.2.3")
    saved = conf(tmp_path / "minehunt/default/savedsearches.conf")
    assert saved.sections() == [rule.title for rule in RULES.values()]
    assert conf(tmp_path / "minehunt/default/app.conf")["launcher"]["version"] == "1.2.3"
    assert "minehunt_results" in conf(tmp_path / "minehunt/default/macros.conf")
    assert conf(tmp_path / "minehunt/default/props.conf")["fleet:json"]["KV_MODE"] == "json"
    assert (tmp_path / "minehunt/metadata/default.meta").read_text().startswith("[]")
    for rule in RULES.values():
        alert = saved[rule.title]
        assert alert["alert.suppress"] == "1" and alert["alert.digest_mode"] == "0" and alert["enableSched"] == "1"
        fields = alert["alert.suppress.fields"].split(",")
        assert fields == ["hostIdentifier", *(f"columns.{column}" for column in rule.columns)]
        # What suppresses must be in the result.
        assert alert["search"].endswith("| table " + ",".join(fields))
        assert json.loads(alert["action.correlationsearch.annotations"]) == {"mitre_attack": list(rule.query.attack)}
    # A search looks back exactly as far as it waits.
    assert "_index_earliest=-5m@m _index_latest=@m" in saved["minehunt hidden processes"]["search"]
    assert saved["minehunt hidden processes"]["cron_schedule"].split(" ")[0].endswith("-59/5")


def test_splunks_texts_stay_in_their_setting(tmp_path: Path, hostile: Rule) -> None:
    splunk.write(tmp_path, both(hostile), "1")
    saved = conf(tmp_path / "minehunt/default/savedsearches.conf")
    assert saved.sections() == ["minehunt hidden processes", "minehunt pool connection"]
    assert saved["minehunt hidden processes"].keys() == saved["minehunt pool connection"].keys()
    assert saved["minehunt hidden processes"]["search"].startswith("`minehunt_results` ")


def test_kibanas_rules_have_all_that_its_import_wants(tmp_path: Path, hostile: Rule) -> None:
    rules = {**RULES, "hidden_processes": hostile}
    elastic.write(tmp_path / "e", rules, converted(rules, "elastic_lucene"), {}, {})
    shown = [json.loads(line) for line in (tmp_path / "e/kibana_rules.ndjson").read_text(encoding="utf-8").split("\n") if line]
    assert len({rule["rule_id"] for rule in shown}) == len(RULES)
    for rule, kibana in zip(rules.values(), shown):
        assert (kibana["rule_id"], kibana["name"], kibana["severity"]) == (rule.id, rule.title, rule.query.severity)
        assert {"description", "risk_score", "type", "query", "language", "index", "interval", "from"} <= kibana.keys()
        assert kibana["false_positives"] and set(rule.tags) <= set(kibana["tags"])
        assert "host.name" in kibana["investigation_fields"]["field_names"]
        # What comes ten minutes late is looked at still; Kibana makes one alert of a document however often it looks.
        assert (kibana["interval"], kibana["from"]) == ("5m", "now-15m")


def test_osquery_manager_is_told_where_the_extension_lies(tmp_path: Path) -> None:
    elastic.write(tmp_path / "e", {}, {}, {}, {})
    options = json.loads((tmp_path / "e/osquery_manager_options.json").read_text())["elastic_options"]["extensions"]
    assert options == {"paths": ["/usr/lib/minehunt/minehunt.ext"], "timeout": 10, "require": ["minehunt"]}


def test_elastalert_holds_back_by_host_and_row(tmp_path: Path, hostile: Rule) -> None:
    rules = both(hostile)
    elastalert.write(tmp_path / "e", rules, converted(rules, "elastic_lucene"))
    shown = yaml.safe_load((tmp_path / "e/minehunt_hidden_processes.yaml").read_text(encoding="utf-8"))
    assert shown["description"] == hostile.description
    assert shown["query_key"] == [
        "osquery.result.host_identifier",
        *(f"osquery.result.columns.{column}" for column in hostile.columns),
    ]
    assert shown["realert"] == {"hours": 24} and shown["priority"] == 1
    assert shown["minehunt"]["tags"] == hostile.tags


def test_lokis_rules_alert_by_host_and_fill_in_only_what_they_shall(tmp_path: Path, hostile: Rule) -> None:
    loki.write(tmp_path / "l", both(hostile))
    (group,) = yaml.safe_load((tmp_path / "l/minehunt.yaml").read_text(encoding="utf-8"))["groups"]
    first, second = group["rules"]
    assert first["expr"].startswith("sum by (hostIdentifier) (count_over_time(")
    # A line that is no JSON fails no rule.
    assert "| drop __error__, __error_details__ |" in first["expr"]
    assert first["labels"] == {"severity": "critical", "attack": "T1014 T1564.013 T1574.006"}
    assert first["annotations"]["summary"] == "minehunt hidden processes on {{ $labels.hostIdentifier }}"
    # A Go template gives back the text that it was.
    assert first["annotations"]["description"].replace('{{ "{{" }}', "{{") == hostile.description
    assert first["annotations"]["description"].count("{{ $") == 0
    assert second["alert"] == "minehunt_pool_connection"


def test_wazuhs_rules_keep_their_ids_and_texts(tmp_path: Path, hostile: Rule) -> None:
    wazuh.write(tmp_path / "w", both(hostile))
    text = (tmp_path / "w/minehunt_rules.xml").read_text(encoding="utf-8")
    rules = list(ET.fromstring(text).iter("rule"))
    numbers = [str(number) for name in both(hostile) for number in (RULES[name].number, RULES[name].number + 1)]
    assert [rule.get("id") for rule in rules] == [str(wazuh.MODULE), str(wazuh.FILE), *numbers]
    assert [rule.get("level") for rule in rules[:3]] == ["0", "0", "14"]
    assert [technique.text for technique in rules[2].iter("id")] == ["T1014", "T1564.013", "T1574.006"]
    description = str(rules[2].findtext("description"))
    assert description.startswith('minehunt hidden processes on $(osquery.hostIdentifier): end"')
    assert description.count("$(") == 1
    # Wazuh's `ignore` would hold back other hosts' alerts too.
    assert "ignore" not in text


def test_panthers_files_are_what_they_say(tmp_path: Path, hostile: Rule) -> None:
    panther.write(tmp_path, both(hostile))
    shown = yaml.safe_load((tmp_path / "rules/minehunt_hidden_processes.yml").read_text(encoding="utf-8"))
    assert (shown["Description"], shown["Severity"]) == (hostile.description, "Critical")
    assert set(hostile.tags) <= set(shown["Tags"]) and shown["DedupPeriodMinutes"] == 1440
    code = (tmp_path / "rules" / shown["Filename"]).read_text(encoding="utf-8")
    assert [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)] == ["rule", "title", "dedup"]


def test_a_snapshots_rows_alert_too_and_no_others() -> None:
    query = dataclasses.replace(RULES["hidden_processes"].query, snapshot=True)
    rule = dataclasses.replace(RULES["hidden_processes"], query=query)
    assert yaml.safe_load(sigma_text(rule))["detection"]["selection"]["action"] == "snapshot"
    assert panther.specification(rule)["LogTypes"] == ["Osquery.Snapshot"]
    assert "osquery_meta.action:snapshot" in elastic.kibana_rule(rule, "")["query"]
    assert 'action="snapshot"' in loki.log_query(rule) and "^snapshot$" in wazuh.rules_of(rule)


def test_sigmas_text_is_the_description(hostile: Rule) -> None:
    shown = yaml.safe_load(sigma_text(hostile))
    assert (shown["description"], shown["modified"]) == (hostile.description, hostile.modified)


def test_the_guide_speaks_of_everything_that_is_built_and_says_what_is_unproven() -> None:
    text = guide()
    for name in ("splunk", "elastic", "elastalert", "loki", "wazuh", "panther", "sigma", "queries"):
        assert f"`{name}/" in text
    assert {product.product.split(",")[0] for product in PRODUCTS if product.unproven} >= {"Splunk", "Wazuh 4"}
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.count(" | ") == 4 for line in rows), rows
