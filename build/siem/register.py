"""The register of rules, register.yaml: since when each is as it is, and its number where a product wants one.

`make docs` enters a new or changed rule with the day; `make lint` names those that are not entered. No entry is ever taken out,
so no number is given twice.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

REGISTER = Path(__file__).with_name("register.yaml")
_HEAD = "# Written by make docs (build/siem/register.py): a rule's digest, the day of its last change, its number for ever.\n"
# A rule takes two numbers; what lies below them is for the rules that these rest on.
_FIRST_NUMBER, _STEP = 100510, 2


@dataclass(frozen=True)
class Entry:
    """What is on record of one rule."""

    number: int
    modified: str
    digest: str

    @staticmethod
    def digest_of(rule: Mapping[str, Any]) -> str:
        """The digest of a rule in Sigma's form, whatever its date."""
        content = {key: value for key, value in rule.items() if key != "modified"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def load(path: Path = REGISTER) -> dict[str, Entry]:
    """The entries by the rule's name."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {name: Entry(**entry) for name, entry in (yaml.safe_load(text) or {}).items()}


def renewed(known: Mapping[str, Entry], rules: Mapping[str, Mapping[str, Any]]) -> dict[str, Entry]:
    """The register with every rule, given in Sigma's form by name, as it is now: those that differ have changed today."""
    entries = dict(known)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for name, rule in rules.items():
        digest, entry = Entry.digest_of(rule), entries.get(name)
        if entry is None or entry.digest != digest:
            free = max((other.number for other in entries.values()), default=_FIRST_NUMBER - _STEP) + _STEP
            entries[name] = Entry(entry.number if entry else free, today, digest)
    return entries


def text_of(entries: Mapping[str, Entry]) -> str:
    """The register as its file has it, one line a rule."""
    lines = (f"{name}: {json.dumps(asdict(entry))}\n" for name, entry in sorted(entries.items()))
    return _HEAD + "".join(lines)
