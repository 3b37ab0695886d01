"""Everything below dist/siem/, and what its README says of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from build.siem import elastalert, elastic, loki, panther, splunk, wazuh
from build.siem.guide import guide
from build.siem.languages import PIPELINES, TARGETS, as_yaml, converted, sigma_text
from build.siem.rules import all_rules, columns, packs
from extension import __version__


def build(destination: Path) -> None:
    """Write every file of dist/siem/ into `destination`."""
    rules = all_rules()
    for folder in ("sigma", "queries"):
        (destination / folder).mkdir(parents=True)
    for name, rule in rules.items():
        (destination / "sigma" / f"minehunt_{name}.yml").write_text(sigma_text(rule), encoding="utf-8")
    queries = {target: converted(rules, target) for target in TARGETS}
    for target, content in queries.items():
        (destination / "queries" / f"{target}.yml").write_text(as_yaml(content), encoding="utf-8")
    shutil.copytree(PIPELINES, destination / "pipelines", copy_function=shutil.copyfile)
    splunk.write(destination / "splunk", rules, __version__)
    elastic.write(destination / "elastic", rules, queries["elastic_lucene"], packs(), columns())
    elastalert.write(destination / "elastalert", rules, queries["elastic_lucene"])
    loki.write(destination / "loki", rules)
    wazuh.write(destination / "wazuh", rules)
    panther.write(destination / "panther", rules)
    (destination / "README.md").write_text(guide(), encoding="utf-8")
