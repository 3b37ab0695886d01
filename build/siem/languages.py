"""The rules in the languages of queries: Sigma's own backends, with the field names of what they are sent to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import sqlglot
import yaml
from sigma.backends.elasticsearch import ESQLBackend, LuceneBackend
from sigma.backends.loki import LogQLBackend
from sigma.backends.splunk import SplunkBackend
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline

from build.deliver import BuildError
from build.siem.rules import Rule, sigma_rule

PIPELINES = Path(__file__).with_name("pipelines")
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
# Dialects of SQL into which the query for SQLite is put.
SQL = ("clickhouse", "duckdb")
TARGETS = (*BACKENDS, *SQL)


def sigma_text(rule: Rule) -> str:
    """The rule as a Sigma file."""
    return as_yaml(sigma_rule(rule))


def converted(rules: Mapping[str, Rule], target: str) -> dict[str, str]:
    """The queries in the language of `target`, one of TARGETS, by the rule's name."""
    if target in SQL:
        return {name: sqlglot.transpile(query, "sqlite", target)[0] for name, query in converted(rules, "sqlite").items()}
    backend, pipeline = BACKENDS[target]
    text = (PIPELINES / f"{pipeline}.yml").read_text(encoding="utf-8") if pipeline else ""
    language = backend(processing_pipeline=ProcessingPipeline.from_yaml(text) if text else None)
    return {name: _converted(language, rule) for name, rule in rules.items()}


def _converted(language: Any, rule: Rule) -> str:
    try:
        (query,) = language.convert(SigmaCollection.from_dicts([sigma_rule(rule)]))
    except (SigmaError, ValueError) as error:
        raise BuildError(f"{rule.name}: {type(language).__name__} cannot express it: {error}") from None
    return str(query)


def as_yaml(value: Any) -> str:
    """The value as a YAML document, keys in their order."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))
