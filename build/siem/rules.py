"""What every SIEM is told of a detection: one rule, from which the modules beside this one make their product's file."""

from __future__ import annotations

import functools
import re
import uuid
from dataclasses import dataclass
from typing import Any, Optional

from build.deliver import EVENTS, PACK, BuildError
from build.siem.register import Entry, load
from extension.engines.embedded import EmbeddedEngine
from extension.pack.discovery import entry_of
from extension.pack.model import Pack, Query, load_pack
from tables.host import Host

# Names of a query's results: osquery's own, the native pack in Fleet, and Fleet's reports for all hosts and for a team.
_OWN_NAMES = ("pack_{}_{}", "pack/{}/{}")
_FLEET_NAMES = ("pack/Global/cryptominer_triage_{}", "pack/team-*/cryptominer_triage_{}")
_FIRST_RULES = "2026-11-23"


@dataclass(frozen=True)
class Rule:
    """A detection as a rule: `names` are those of its results, with a * for a team's number, `columns` those of its rows."""

    query: Query
    names: tuple[str, ...]
    columns: tuple[str, ...]
    modified: str = ""
    number: int = 0

    @property
    def name(self) -> str:
        """The query's name, by which files and rules are called."""
        return self.query.name

    @property
    def id(self) -> str:
        """The rule's UUID."""
        return rule_id(self.name)

    @property
    def title(self) -> str:
        """What an alert is called."""
        return f"minehunt {self.name.replace('_', ' ')}"

    @property
    def action(self) -> str:
        """The action of a line that alerts.

        `removed` never does: a miner that ended is no alert. Lines with counter 0, the first result, do: a host that is infected
        when minehunt comes must be told of.
        """
        return "snapshot" if self.query.snapshot else "added"

    @property
    def names_pattern(self) -> str:
        """A regular expression for the whole of a name, in what RE2, PCRE2 and Python's re have in common."""
        return "(?:" + "|".join(re.escape(name).replace(r"\*", "[^/]*") for name in self.names) + ")"

    @property
    def description(self) -> str:
        """What a row means, on one line: no product's format has a line end in it to break out of."""
        return one_line(self.query.description.en)

    @property
    def false_positives(self) -> list[str]:
        """What else gives a row; never empty."""
        return [one_line(text.en) for text in self.query.false_positives] or ["None known."]

    @property
    def tags(self) -> list[str]:
        """The ATT&CK techniques as Sigma writes them: attack.t1014."""
        return [f"attack.{technique.lower()}" for technique in self.query.attack]

    @property
    def response(self) -> list[str]:
        """What to do about a row, step by step, with `<column>` where its value goes."""
        return [f"{step.phase}: {one_line(step.shown('en'))}" for step in self.query.response]


def rule_id(name: str) -> str:
    """The UUID of a detection's rule, the same for ever: made from the query's name (RFC 9562, version 5)."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"minehunt:detection:{name}"))


def one_line(text: str) -> str:
    """The text without line ends, control characters and runs of blanks."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def sigma_rule(rule: Rule) -> dict[str, Any]:
    """The rule in Sigma's form, without the date of its last change where it has none yet.

    Sigma's specification 2.0 knows no log source of osquery's; here it is product linux, service osquery, and the fields are
    those of osquery's result line (docs/wiki/deployment/logging.md): name, action, hostIdentifier, columns.*.
    """
    return {
        "title": rule.title,
        "id": rule.id,
        "status": "test",
        "description": rule.description,
        "author": "minehunt",
        "date": _FIRST_RULES,
        **({"modified": rule.modified} if rule.modified else {}),
        "tags": rule.tags,
        "logsource": {"product": "linux", "service": "osquery"},
        "detection": {"selection": {"name": list(rule.names), "action": rule.action}, "condition": "selection"},
        "fields": ["hostIdentifier", *(f"columns.{column}" for column in rule.columns)],
        "falsepositives": rule.false_positives,
        "level": rule.query.severity,
    }


@functools.cache
def packs() -> tuple[Pack, ...]:
    """Both packs that minehunt ships."""
    return load_pack(PACK), load_pack(EVENTS)


@functools.cache
def columns() -> dict[str, tuple[str, ...]]:
    """The columns of each query of both packs, by its name."""
    engine = EmbeddedEngine(Host())
    try:
        return {query.name: tuple(engine.column_names(query.sql)) for pack in packs() for query in pack.queries()}
    finally:
        engine.close()


def bare_rules() -> dict[str, Rule]:
    """A rule for each detection of both packs, by name, with neither date nor number."""
    return {
        query.name: Rule(query, _names(pack, query), columns()[query.name])
        for pack in packs()
        for query in pack.queries()
        if query.kind == "detection"
    }


def all_rules() -> dict[str, Rule]:
    """The rules with date and number from the register; BuildError names a rule that it does not know as it is."""
    known = load()
    return {name: _registered(rule, known.get(name)) for name, rule in bare_rules().items()}


def _registered(rule: Rule, entry: Optional[Entry]) -> Rule:
    if entry is None or entry.digest != entry.digest_of(sigma_rule(rule)):
        raise BuildError(f"{rule.query.file}:{rule.query.line}: {rule.name} is new or was changed as a rule: run make docs")
    return Rule(rule.query, rule.names, rule.columns, entry.modified, entry.number)


def _names(pack: Pack, query: Query) -> tuple[str, ...]:
    # Of a pack of events osquery has one for each kind of event; in Fleet its reports are named like the others.
    own = f"{pack.name}_{entry_of(pack, query)}" if pack.discovery else pack.name
    return (*(name.format(own, query.name) for name in _OWN_NAMES), *(name.format(query.name) for name in _FLEET_NAMES))
