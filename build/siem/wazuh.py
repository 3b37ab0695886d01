"""dist/siem/wazuh/: rules for Wazuh 4's manager (documentation.wazuh.com, rules syntax; 0545-osquery_rules.xml).

Each detection has two: for the manager's osquery module, whose decoder puts the result line below `osquery.`, and for a file of
result lines that logcollector reads as JSON, where `action` is a field of Wazuh's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from build.siem.rules import Rule

_LEVEL = {"critical": 14, "high": 12, "medium": 8, "low": 5}
MODULE, FILE = 100500, 100501
_ANY_RESULT = "^(?:pack_|pack/|pack/Global/|pack/team-[^/]*/)cryptominer_(?:triage|events)"
_HEAD = f"""\
<!-- All results of minehunt's packs: these two alert on none of them, not on removed rows and not on inventories. -->
<group name="minehunt,osquery,">
  <rule id="{MODULE}" level="0">
    <if_sid>24010</if_sid>
    <field name="osquery.name" type="pcre2">{_ANY_RESULT}</field>
    <description>minehunt: a result, from the osquery module</description>
  </rule>
  <rule id="{FILE}" level="0">
    <decoded_as>json</decoded_as>
    <field name="name" type="pcre2">{_ANY_RESULT}</field>
    <field name="hostIdentifier" type="pcre2">.</field>
    <description>minehunt: a result, from a file</description>
  </rule>
"""


def rules_of(rule: Rule) -> str:
    """The two rules of a detection, as XML."""
    forms = (
        (rule.number, MODULE, "osquery.", f'<field name="osquery.action" type="pcre2">^{rule.action}$</field>'),
        (rule.number + 1, FILE, "", f'<action type="pcre2">^{rule.action}$</action>'),
    )
    return "".join(
        f"""\
  <rule id="{number}" level="{_LEVEL[rule.query.severity]}">
    <if_sid>{parent}</if_sid>
    <field name="{prefix}name" type="pcre2">{escape(f"^{rule.names_pattern}$")}</field>
    {action}
    <description>{rule.title} on $({prefix}hostIdentifier): {_literal(rule.description)}</description>
    <info type="text">{_literal("False positives: " + " ".join(rule.false_positives))}</info>
    <mitre>{"".join(f"<id>{escape(technique)}</id>" for technique in rule.query.attack)}</mitre>
    <options>no_full_log</options>
  </rule>
"""
        for number, parent, prefix, action in forms
    )


def _literal(text: str) -> str:
    """The text as XML's, in which Wazuh fills in no $(field)."""
    return escape(text.replace("$(", "$ ("))


def write(destination: Path, rules: Mapping[str, Rule]) -> None:
    """Write the one file of rules into the new folder `destination`."""
    destination.mkdir()
    text = _HEAD + "".join(map(rules_of, rules.values())) + "</group>\n"
    (destination / "minehunt_rules.xml").write_text(text, encoding="utf-8")
