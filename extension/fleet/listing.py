"""`minehunt fleet incidents|campaigns|rare|hosts|coverage`: one answer as flat rows, for a table, CSV or JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from extension.fleet.report.document import Document

Row = dict[str, str]


def _incidents(d: Document, language: str) -> Iterator[Row]:
    for one in d["incidents"]:
        yield {
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


def _campaigns(d: Document, language: str) -> Iterator[Row]:
    for one in d["campaigns"]:
        yield {
            "campaign": one["name"],
            "severity": one["severity"],
            "hosts": str(len(one["hosts"])),
            "first_host": one["hosts"][0]["host"],
            "began": one["began"] or "",
            "all_hosts": " ".join(each["host"] for each in one["hosts"]),
            "shares": "; ".join(f"{each['kind']} {each['value']}" for each in one["shared"][:5]),
            "sentence": one["sentence"][language],
        }


def _rare(d: Document, _language: str) -> Iterator[Row]:
    for rank, one in enumerate(d["rare"], 1):
        for thing in one["things"]:
            yield {
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


def _hosts(d: Document, _language: str) -> Iterator[Row]:
    for one in d["hosts"]:
        yield {
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


def _coverage(d: Document, _language: str) -> Iterator[Row]:
    for one in d["hosts"]:
        if one["state"] != "reporting":
            yield {
                "host": one["host"],
                "key": one["key"],
                "problem": one["state"],
                "what": "",
                "last_heard": one["last_heard"] or "",
            }
        for problem in one["problems"]:
            yield {
                "host": one["host"],
                "key": one["key"],
                "problem": problem["kind"],
                "what": problem["what"],
                "last_heard": one["last_heard"] or "",
            }


LISTS: dict[str, Callable[[Document, str], Iterator[Row]]] = {
    "incidents": _incidents,
    "campaigns": _campaigns,
    "rare": _rare,
    "hosts": _hosts,
    "coverage": _coverage,
}
