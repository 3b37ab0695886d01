"""Which SSH keys are known to be malware's, or to have a private half that everybody has (ssh_keys.yaml)."""

from __future__ import annotations

import functools
from typing import NamedTuple, Optional

from tables.indicators.loader import load_yaml


class KnownKey(NamedTuple):
    """One entry; `kind` is malware or published."""

    kind: str
    family: str
    fingerprint: Optional[str]
    comment: Optional[str]


@functools.cache
def known_keys() -> tuple[KnownKey, ...]:
    """All entries, read once when first needed."""
    return tuple(
        KnownKey(entry["kind"], entry["family"], entry.get("fingerprint"), entry.get("comment"))
        for entry in load_yaml("ssh_keys.yaml")["keys"]
    )


def known_key(fingerprint: str, comment: str) -> Optional[KnownKey]:
    """The entry that a key's fingerprint or comment fits; None for a key of which nothing is known."""
    small = comment.lower()
    for entry in known_keys():
        if entry.fingerprint == fingerprint or (entry.comment and entry.comment in small):
            return entry
    return None
