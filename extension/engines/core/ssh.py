"""osquery's tables of users' SSH files: authorized_keys, known_hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from extension.engines.core import CoreRow, core_table
from extension.engines.core.accounts import accounts_in_question
from extension.engines.core.reading import Reader, split
from tables.host import Host
from tables.schema import QueryContext

# The types osquery knows, in its order; a line with another one (ssh-dss, certificates) gives no row there either.
KEY_TYPES = (
    "ssh-rsa",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ssh-ed25519@openssh.com",
)
_KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
_RING_LABEL = "zos-key-ring-label="
_BLANK = " \t"
_BLANKS = re.compile(r"[ \t]+")


class AuthorizedKey(NamedTuple):
    """One line of an authorized_keys file (sshd(8)); all but `options` are None for a z/OS key ring label."""

    algorithm: Optional[str]
    key: Optional[str]
    options: Optional[str]
    comment: Optional[str]


def entries(text: str) -> list[str]:
    """The trimmed lines of an SSH file that are neither empty nor comments."""
    return [line for line in split(text, "\n") if line and not line.startswith("#")]


def parse_authorized_key(line: str) -> Optional[AuthorizedKey]:
    """What osquery reads in one trimmed line: the first known key type that a blank follows divides options from key."""
    for algorithm in KEY_TYPES:
        start = line.find(algorithm)
        end = start + len(algorithm)
        if start < 0 or line[end : end + 1] not in (" ", "\t"):
            continue
        key, *comment = _BLANKS.split(line[end:].lstrip(_BLANK), maxsplit=1)
        return AuthorizedKey(algorithm, key, line[:start].rstrip(_BLANK) if start else None, comment[0] if comment else None)
    if any(option.startswith(_RING_LABEL) for option in split(line, ",")):
        return AuthorizedKey(None, None, line, None)
    return None


@core_table("authorized_keys", additional=["uid"])
def authorized_keys(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The keys in ~/.ssh/authorized_keys and authorized_keys2 of the users asked for by uid, else of the running user."""
    reader = Reader(host, "authorized_keys", query)
    for account in accounts_in_question(reader, query):
        for name in _KEY_FILES:
            path = os.path.join(account.home, name)
            for line in entries(reader.text(path)):
                key = parse_authorized_key(line)
                if key is not None:
                    yield {"uid": account.uid, "key_file": path, **key._asdict()}


@core_table("known_hosts", index=["uid"], optimized=["uid"])
def known_hosts(host: Host, query: QueryContext) -> Iterator[CoreRow]:
    """The lines of ~/.ssh/known_hosts of the users asked for by uid, else of the running user."""
    reader = Reader(host, "known_hosts", query)
    for account in accounts_in_question(reader, query):
        path = os.path.join(account.home, ".ssh/known_hosts")
        for line in entries(reader.text(path)):
            yield {"uid": account.uid, "key": line, "key_file": path}
