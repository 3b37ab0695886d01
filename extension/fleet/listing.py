"""`minehunt fleet incidents|campaigns|rare|hosts|coverage`: one answer as flat rows, for a table, CSV or JSON lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Optional

from extension.fleet.report.called import called
from extension.fleet.report.cut import in_line
from extension.fleet.report.document import Document
from extension.fleet.report.times import over_since, when
from extension.fleet.report.words import words
from extension.tabular import Row

# What nobody reads to its end: hashes and wallets.
_LONG = re.compile(r"SHA256:[0-9A-Za-z+/]{32,}|[0-9A-Za-z]{32,}")
_SIGNS, _HOSTS = 16, 2


def _row(whole: Mapping[str, str], *brief: str, **shorter: str) -> Row:
    """A row of these columns, and which of them a table has; `shorter` is what it has there instead."""
    return Row(whole, {name: shorter.get(name, whole[name]) for name in brief})


def _cut(text: str) -> str:
    return _LONG.sub(lambda found: found[0][:_SIGNS] + "…", text)


def _first(hosts: Sequence[Document], names: Mapping[str, str]) -> str:
    """The first of the hosts by name, and how many more there are."""
    return in_line([names[each["key"]] for each in hosts], _HOSTS, ", ")


def _minute(moment: Optional[str]) -> str:
    return when(moment)[:16]


def _incidents(d: Document, language: str) -> Iterator[Row]:
    names = called(d)
    for one in d["incidents"]:
        whole = {
            "id": one["id"],
            "host": one["host"],
            "key": one["key"],
            "severity": one["severity"],
            "confidence": one["confidence"],
            "compromise": "1" if one["is_compromise"] else "0",
            "campaign": one["campaign"],
            "began": one["began"] or "",
            "ended": one["ended"] or "",
            "detections": " ".join(one["detections"]),
            "sentence": one["sentence"][language],
        }
        told = _cut(whole["sentence"]) + over_since(one["ended"], words(language))
        shorter = {"host": names[one["key"]], "began": _minute(one["began"]), "sentence": told}
        yield _row(whole, "host", "severity", "campaign", "began", "sentence", **shorter)


def _campaigns(d: Document, language: str) -> Iterator[Row]:
    names = called(d)
    for one in d["campaigns"]:
        whole = {
            "campaign": one["name"],
            "severity": one["severity"],
            "hosts": str(len(one["hosts"])),
            "first_host": one["hosts"][0]["host"],
            "began": one["began"] or "",
            "all_hosts": " ".join(each["host"] for each in one["hosts"]),
            "shares": "; ".join(f"{each['kind']} {each['value']}" for each in one["shared"][:5]),
            "sentence": one["sentence"][language],
        }
        shorter = {
            "began": _minute(one["began"]),
            "all_hosts": _first(one["hosts"], names),
            "sentence": _cut(whole["sentence"]),
        }
        yield _row(whole, "campaign", "severity", "hosts", "began", "all_hosts", "sentence", **shorter)


def _rare(d: Document, _language: str) -> Iterator[Row]:
    names = called(d)
    for rank, one in enumerate(d["rare"], 1):
        for thing in one["things"]:
            whole = {
                "rank": str(rank),
                "score": str(one["score"]),
                "kind": thing["kind"],
                "what": thing["example"],
                "program": thing["program"],
                "reasons": thing["reasons"],
                "hosts": str(len(one["hosts"])),
                "of": str(one["role_size"]),
                "role": one["role"],
                "all_hosts": " ".join(each["host"] for each in one["hosts"]),
                "since": one["since"] or "",
                "is_new": "1" if one["is_new"] else "0",
            }
            shorter = {
                "what": _cut(thing["example"]),
                "all_hosts": _first(one["hosts"], names),
                # The day alone leaves room for what it is about.
                "since": (one["since"] or "")[:10],
            }
            yield _row(whole, "rank", "kind", "what", "hosts", "of", "all_hosts", "since", **shorter)


def _hosts(d: Document, _language: str) -> Iterator[Row]:
    names = called(d)
    for one in d["hosts"]:
        whole = {
            "host": one["host"],
            "key": one["key"],
            "verdict": one["verdict"],
            "state": one["state"],
            "last_heard": one["last_heard"] or "",
            "version": one["version"],
            "role": one["role"],
            "incidents": str(one["incidents"]),
            "campaigns": " ".join(one["campaigns"]),
        }
        shorter = {"host": names[one["key"]], "last_heard": _minute(one["last_heard"])}
        yield _row(whole, "host", "verdict", "state", "last_heard", "campaigns", **shorter)


def _coverage(d: Document, _language: str) -> Iterator[Row]:
    names = called(d)
    for one in d["hosts"]:
        state = [] if one["state"] == "reporting" else [{"kind": one["state"], "what": ""}]
        for problem in [*state, *one["problems"]]:
            whole = {
                "host": one["host"],
                "key": one["key"],
                "problem": problem["kind"],
                "what": problem["what"],
                "last_heard": one["last_heard"] or "",
            }
            shorter = {"host": names[one["key"]], "last_heard": _minute(one["last_heard"])}
            yield _row(whole, "host", "problem", "what", "last_heard", **shorter)


LISTS: dict[str, Callable[[Document, str], Iterator[Row]]] = {
    "incidents": _incidents,
    "campaigns": _campaigns,
    "rare": _rare,
    "hosts": _hosts,
    "coverage": _coverage,
}
