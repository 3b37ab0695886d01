"""What hosts are called where they are listed: several may have one name."""

from __future__ import annotations

from collections import defaultdict

from extension.fleet.report.document import Document

_SIGNS = 8


def called(document: Document) -> dict[str, str]:
    """What each host is called, by its key: its name, with the beginning of the key where others have that name."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for one in document["hosts"]:
        by_name[one["host"]].append(one["key"])
    found = {}
    for name, keys in by_name.items():
        signs = _telling(keys)
        found.update({key: f"{name} [{key[:signs]}]" if len(keys) > 1 else name for key in keys})
    return found


def _telling(keys: list[str]) -> int:
    """How many signs of these keys tell them apart."""
    longest = max(map(len, keys))
    return next((signs for signs in range(_SIGNS, longest) if len({key[:signs] for key in keys}) == len(keys)), longest)
