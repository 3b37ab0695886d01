"""dist/siem/README.md: which file is for which product, how it gets in, and what it was proven by."""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """One line of the guide; `unproven` is what no engine has run."""

    files: str
    product: str
    how: str
    proven: str
    unproven: str = ""


PRODUCTS = (
    Product(
        "`splunk/minehunt/`",
        "Splunk, with its add-on for osquery or Fleet's HEC destination",
        "copy the folder to `$SPLUNK_HOME/etc/apps/`, name your index in `local/macros.conf`, restart",
        "read as .conf files",
        "the SPL: no engine",
    ),
    Product(
        "`elastic/kibana_rules.ndjson`",
        "Elastic Security 8.11 and newer",
        "Security → Rules → Detection rules → Import rules; or `curl -F file=@kibana_rules.ndjson -H 'kbn-xsrf: true' "
        "KIBANA_URL/api/detection_engine/rules/_import?overwrite=true`",
        "the queries run by Lucene itself and by a server like OpenSearch",
        "the import into Kibana",
    ),
    Product(
        "`elastic/osquery_manager_*.json`, `elastic/osquery_manager_options.json`",
        "Elastic's Osquery Manager, Elastic Agent 9.6 and newer",
        "Osquery → Packs → Add pack → upload the file; merge the options into the integration's Advanced → Osquery config",
        "its SQL runs on osquery, the documents by Lucene with the rules",
        "the import into Kibana, and the extension in Elastic Agent",
    ),
    Product(
        "`elastalert/`",
        "ElastAlert 2 on Elasticsearch or OpenSearch, with osqueryd's own logs by Filebeat or Elastic Agent",
        "copy the files to `rules_folder`; put your alerters in the place of `debug`",
        "the queries run by Lucene itself and by a server like OpenSearch; ElastAlert 2's own schema and loader, where it is "
        "installed",
    ),
    Product(
        "`loki/minehunt.yaml`",
        "Grafana Loki 2.9 and newer, its ruler",
        "`lokitool rules load minehunt.yaml`, or copy it to the ruler's folder `RULES/TENANT/`",
        "Loki's own grammar and RE2, the rest of LogQL as its documentation says",
        "the query by Loki",
    ),
    Product(
        "`wazuh/minehunt_rules.xml`",
        "Wazuh 4, with its osquery module or a JSON file of results",
        "Server management → Rules → Manage rules files → Upload; or copy it to `/var/ossec/etc/rules/`; restart the manager",
        "read as XML, and its patterns run",
        "the rules by Wazuh",
    ),
    Product(
        "`panther/`",
        "Panther",
        "`panther_analysis_tool test --path panther`, then `upload`",
        "the detections' Python run; panther_analysis_tool's own test, where it is installed",
    ),
    Product(
        "`sigma/`", "whatever Sigma has a backend for", "`sigma convert -t TARGET -p pipelines/NAME.yml sigma/`", "`sigma check`"
    ),
    Product("`queries/elastic_lucene.yml`, `queries/wazuh_lucene.yml`", "a search, as text", "paste", "run by Lucene itself"),
    Product(
        "`queries/sqlite.yml`, `queries/duckdb.yml`", "SQLite or DuckDB, a table `logs`", "paste", "run by SQLite and DuckDB"
    ),
    Product("`queries/clickhouse.yml`", "ClickHouse, a table `logs`", "paste", "run by ClickHouse, where chdb is installed"),
    Product("`queries/loki.yml`", "a search in Loki", "paste", "Loki's own grammar and RE2", "the query by Loki"),
    Product(
        "`queries/elastic_esql.yml`",
        "a search in ES|QL",
        "paste",
        "ES|QL's own grammar, where it is installed",
        "the query: no engine",
    ),
    Product("`queries/splunk.yml`, `queries/splunk_fleet.yml`", "a search in SPL", "paste", "converted by pySigma", "the query"),
)
_HEAD = """\
# minehunt for your SIEM

One rule per detection of the packs, in each product's own form. A rule asks of a result line's `name` and `action` alone, so
nothing that stands in a row can keep it from alerting: `added` alerts, also at the first run (`counter` 0), `removed` never.
Let osquery log one line a row (`logger_event_type`, its default, and `logger_snapshot_event_type`). osquery logs a row once, when
it comes; where a product can hold back by host and row, a row that comes and goes alerts once a day.

| file | product | how to import it | proven by | unproven |
|---|---|---|---|---|
"""
_TAIL = """
"Proven" is: all rules on result lines as osqueryd writes them, under every name that osquery and Fleet give a result, with rows
that are gone, other queries and hostile values among them; exactly the right rules alerted. "Unproven" was made from the
product's documentation, and no engine has run it.

- **Held back by host and row**: Splunk (`alert.suppress.fields`), ElastAlert (`query_key`, `realert`), Panther (`dedup`). Loki
  has an alert a host, for ten minutes; its annotation `rows` is the search for the rows. Kibana's suppression has three fields at
  most, which would make one alert of several rows, and Wazuh's `ignore` knows no host: neither is used.
- **Elastic**: custom extension tables work in Osquery Manager from Elastic Agent 9.6 (`elastic_options.extensions`,
  elastic/beats pull request 51777 and elastic/docs-content issue 7930); before that run your own osqueryd, and read its logs with
  Filebeat's osquery module or Elastic's osquery integration. The rules fit `filebeat-*`, `logs-osquery.result-*`
  (by the result's name) and `logs-osquery_manager.result-*` (by `rule.uuid`, which the pack's ECS mapping sets: results of a
  scheduled pack have an `action_id` in older versions and a `schedule_id` in newer ones, elastic/kibana pull request 267894).
  Upload the pack from these files, or its results match no rule. Osquery Manager has no discovery: schedule the pack of events
  only where hosts record events.
- **Wazuh**: the file's first two rules take minehunt's results out of rule 24010, which alerts on every result, removed ones
  too. Rule ids begin at 100500 and stay a detection's own; where you use these already, renumber yours.
- **Splunk**: without `local/macros.conf` the searches look in all indexes.
"""


def guide() -> str:
    """The README's text."""
    rows = (f"| {' | '.join(cell.replace('|', chr(92) + '|') or '–' for cell in product)} |\n" for product in PRODUCTS)
    return _HEAD + "".join(rows) + _TAIL
