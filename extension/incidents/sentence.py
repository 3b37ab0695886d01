"""An incident in one sentence, from what is known of it, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Optional

from extension.incidents.incident import Finding, Incident
from extension.pack.parts import COLUMN, GRAVE, WEAKNESS, columns_of
from tables.schema import clean_text, whole_number

# What stands in brackets is said only where all that it names is known.
_PART = re.compile(rf"\[(?P<part>[^\[\]]*)\]|{COLUMN.pattern}")
_VALUE_SHOWN = 120
_NAMED = 2
_WORDS = {
    "en": {
        "mines": "{who} mines{coin}{where}{since}", "likely": "{who} probably mines{coin}{where}{since}",
        "runs": "found {what}{when}", "process": "{name} (pid {pid})", "somebody": "a miner", "named": "{} ({})",
        "coin": " {}", "at": " at {}", "since": " since {}", "when": " ({})",
        "hidden": "hidden by {}", "again": "started again by {}", "back": "with a way back by {}", "came": "came in by {}",
        "weakness": "open to it: {}", "also": "with {}", "more": "{} more", "and": " and ", "list": ", ",
        "comma": ", ", "stop": ".",
    },
    "zh": {
        "mines": "{who}{since}{where}挖矿{coin}", "likely": "{who}{since}{where}疑似挖矿{coin}",
        "runs": "发现{what}{when}", "process": "{name}（pid {pid}）", "somebody": "挖矿程序", "named": "{}（{}）",
        "coin": "（{}）", "at": "在 {} ", "since": "自 {} 起", "when": "（{}）",
        "hidden": "隐藏方式：{}", "again": "重新拉起的来源：{}", "back": "留有后门：{}", "came": "入侵途径：{}",
        "weakness": "薄弱环节：{}", "also": "另有：{}", "more": "另 {} 项", "and": "、", "list": "、",
        "comma": "；", "stop": "。",
    },
}  # fmt: skip


def sentence(incident: Incident, language: str) -> str:
    """What happened, for a reader who knows no query; `language` is en or zh."""
    words = _WORDS[language]
    stages = incident.chain
    first = _first(incident)
    persistence = stages.get("persistence", ())
    back = tuple(finding for finding in persistence if _opens_a_way_back(finding))
    again = tuple(finding for finding in persistence if finding not in back)
    if incident.is_mining:
        parts = [_mining(incident, words)]
    else:
        parts = [words["runs"].format(what=told(first[0], language), when=_time(first[0].when, words["when"]))]
        parts += _told(stages.get("execution", ()), words, language, "also", first)
    for findings, word in (
        (stages.get("hiding", ()), "hidden"),
        (again, "again"),
        (back, "back"),
        (stages.get("entry", ()), "came"),
    ):
        parts += _told(findings, words, language, word, first)
    if not stages.get("entry"):
        parts += _told(stages.get(WEAKNESS, ()), words, language, "weakness", first)
    return words["comma"].join(parts) + words["stop"]


def _opens_a_way_back(finding: Finding) -> bool:
    """Whether somebody can come in again by it, rather than something be started."""
    return any(thing.kind in ("key", "account") for thing in finding.things)


def told(finding: Finding, language: str) -> str:
    """What a finding is, with its own values; what is not known of it is left out."""
    text = finding.query.says.get(language) if finding.query.says else finding.query.name
    return _filled(text, finding.row)


def _filled(text: str, row: Mapping[str, str]) -> str:
    def value(name: str) -> str:
        shown = clean_text(row.get(name, "")).strip()
        return shown if len(shown) <= _VALUE_SHOWN else shown[:_VALUE_SHOWN] + "…"

    def part(match: re.Match[str]) -> str:
        if match["part"] is None:
            return value(match[2])
        is_known = all(row.get(name, "") for name in columns_of(match["part"]))
        return COLUMN.sub(lambda blank: value(blank[1]), match["part"]) if is_known else ""

    return _PART.sub(part, text).strip()


def _first(incident: Incident) -> tuple[Finding, ...]:
    """What the sentence is about: the miners, else the gravest finding."""
    stages = incident.chain
    if incident.is_mining:
        return stages["mining"]
    gravest = next(
        (stages[stage] for stage in ("hiding", "execution", "entry", "persistence") if stage in stages), incident.findings
    )
    return gravest[:1]


def _mining(incident: Incident, words: Mapping[str, str]) -> str:
    miners = incident.chain["mining"]
    best = max(miners, key=lambda finding: (finding.has_process, bool(_endpoint([finding.row])), bool(finding.row.get("coin"))))
    rows = [finding.row for finding in miners if _is_same(finding, best)]
    pid, name = _known(rows, "pid"), _known(rows, "process_name")
    who = words["process"].format(name=name or "?", pid=pid) if (whole_number(pid) or 0) > 0 else words["somebody"]
    endpoint = _endpoint(rows)
    pool = next((row["pool"] for row in rows if row.get("pool") and ":" not in row["pool"]), "")
    where = words["named"].format(endpoint, clean_text(pool)) if pool and endpoint else endpoint or clean_text(pool)
    template = words["mines" if any(finding.query.severity in GRAVE for finding in miners) else "likely"]
    coin = _known(rows, "coin")
    return template.format(
        who=who,
        coin=words["coin"].format(coin) if coin else "",
        where=words["at"].format(where) if where else "",
        since=_time(best.when if best.row.get("start_time") else incident.since, words["since"]),
    )


def _is_same(one: Finding, other: Finding) -> bool:
    """Whether two findings are about the same process, as far as they say."""
    return one is other or (one.has_process and all(one.row.get(name) == other.row.get(name) for name in ("pid", "start_time")))


def _known(rows: Iterable[Mapping[str, str]], column: str) -> str:
    return clean_text(next((row[column] for row in rows if row.get(column)), ""))[:_VALUE_SHOWN]


def _endpoint(rows: Iterable[Mapping[str, str]]) -> str:
    for row in rows:
        if row.get("remote_address") and row.get("remote_port", "0") != "0":
            address = row["remote_address"]
            return clean_text(f"[{address}]:{row['remote_port']}" if ":" in address else f"{address}:{row['remote_port']}")
        for column in ("pool", "pools"):
            if ":" in row.get(column, ""):
                return clean_text(row[column])[:_VALUE_SHOWN]
    return ""


def _told(
    findings: Iterable[Finding], words: Mapping[str, str], language: str, word: str, without: tuple[Finding, ...]
) -> list[str]:
    """`word` with what the findings are, each once, the first two by name."""
    names = list(dict.fromkeys(told(finding, language) for finding in findings if finding not in without))
    if not names:
        return []
    shown, more = names[:_NAMED], len(names) - _NAMED
    if more > 0:
        shown.append(words["more"].format(more))
    joined = shown[0] if len(shown) == 1 else words["list"].join(shown[:-1]) + words["and"] + shown[-1]
    return [words[word].format(joined)]


def _time(seconds: Optional[int], template: str) -> str:
    if seconds is None:
        return ""
    return template.format(datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
