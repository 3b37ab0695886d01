"""dist/siem/splunk/: an app that Splunk installs, with one alert per detection.

Formats: Splunk's savedsearches.conf.spec, macros.conf.spec, app.conf.spec and default.meta.conf. Written here and not by
pySigma's `savedsearches`: that writes searches which nothing schedules, with times in a [default] that all searches take.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection

from build.siem.rules import Rule, sigma_rule

APP = "minehunt"
# alert.severity counts from 1, debug, to 6, fatal.
_SEVERITY = {"critical": "5", "high": "4", "medium": "3", "low": "2"}
# How often a search runs, in minutes; it looks at what was indexed since, so that what comes late is not passed over.
_EVERY = {"critical": 5, "high": 5, "medium": 60, "low": 60}
_MACROS = """\
# Where osquery's results are: name your index here, for it is searched in all that you may read.
[minehunt_results]
definition = (index=* sourcetype IN ("osquery:results", "osquery:snapshots", "fleet:json"))
iseval = 0
"""
_APP = """\
[install]
is_configured = 1

[ui]
is_visible = 0
label = minehunt

[launcher]
author = minehunt
description = Alerts on what the minehunt extension and its packs find with osquery.
version = {version}

[package]
id = minehunt
"""
# What Fleet sends is JSON; looked through for key=value as well, a row could bring a `name` of its own.
_PROPS = "[fleet:json]\nKV_MODE = json\n"
_META = "[]\naccess = read : [ * ], write : [ admin ]\nexport = system\n\n[props]\nexport = none\n"


def stanza(rule: Rule) -> str:
    """The alert for one detection, as savedsearches.conf has it."""
    (query,) = SplunkBackend().convert(SigmaCollection.from_dicts([sigma_rule(rule)]))
    every = _EVERY[rule.query.severity]
    offset = int(hashlib.sha256(rule.name.encode()).hexdigest(), 16) % every
    fields = ["hostIdentifier", *(f"columns.{column}" for column in rule.columns)]
    settings = {
        "description": f"{rule.description} False positives: {' '.join(rule.false_positives)}".rstrip("\\"),
        "search": f"`minehunt_results` _index_earliest=-{every}m@m _index_latest=@m {query}",
        "enableSched": "1",
        "cron_schedule": f"{offset}-59/{every} * * * *" if every < 60 else f"{offset} * * * *",
        "realtime_schedule": "0",
        "dispatch.earliest_time": "-7d",
        "dispatch.latest_time": "+1d",
        "counttype": "number of events",
        "relation": "greater than",
        "quantity": "0",
        "alert.track": "1",
        "alert.severity": _SEVERITY[rule.query.severity],
        "alert.digest_mode": "0",
        "alert.expires": "7d",
        "alert.suppress": "1",
        "alert.suppress.fields": ",".join(fields),
        "alert.suppress.period": "24h",
        "action.correlationsearch.annotations": json.dumps({"mitre_attack": list(rule.query.attack)}),
    }
    return f"[{rule.title}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def write(destination: Path, rules: Mapping[str, Rule], version: str) -> None:
    """Write the app's folder into `destination`."""
    files = {
        "default/app.conf": _APP.format(version=version),
        "default/macros.conf": _MACROS,
        "default/props.conf": _PROPS,
        "default/savedsearches.conf": "\n".join(map(stanza, rules.values())),
        "metadata/default.meta": _META,
    }
    for name, text in files.items():
        (destination / APP / name).parent.mkdir(parents=True, exist_ok=True)
        (destination / APP / name).write_text(text, encoding="utf-8")
