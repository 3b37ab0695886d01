"""PostgreSQL's pg_hba.conf: who may connect from where, and how they prove who they are (PostgreSQL manual, chapter 21.1)."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

_TOKEN = re.compile(r'(?:"[^"]*"|[^\s",]+)(?:,\s*(?:"[^"]*"|[^\s",]+))*')
_ANYWHERE = frozenset({"all", "::0/0"})
_HOST_TYPES = frozenset({"host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"})


class HbaRule(NamedTuple):
    """One rule for connections over the network: `address` as written, its mask joined by a slash; `line` from 1."""

    kind: str
    database: str
    user: str
    address: str
    method: str
    line: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this very host matches."""
        if self.address == "samehost" or self.address == "localhost":
            return True
        try:
            return ipaddress.ip_network(self.address, strict=False).is_loopback
        except ValueError:
            return False

    @property
    def is_anywhere(self) -> bool:
        """Whether every address of a family matches."""
        if self.address in _ANYWHERE:
            return True
        try:
            return ipaddress.ip_network(self.address, strict=False).prefixlen == 0
        except ValueError:
            return False

    @property
    def families(self) -> frozenset[int]:
        """The IP versions whose addresses can match; both for a name."""
        try:
            return frozenset({ipaddress.ip_network(self.address, strict=False).version})
        except ValueError:
            return frozenset({4, 6})

    @property
    def is_for_everything(self) -> bool:
        """Whether it is for every database and user, so that no later rule for the same addresses counts."""
        return self.database == self.user == "all"


def parse_hba(text: str) -> list[HbaRule]:
    """The rules for TCP connections in order, each of which counts only if none before it matches; others left out.

    Files brought in by `include` are not followed.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = [field.strip('"') for field in _TOKEN.findall(line.split("#", 1)[0])]
        if len(fields) < 5 or fields[0].lower() not in _HOST_TYPES:
            continue
        address, method = fields[3], fields[4]
        if re.fullmatch(r"[\d.]+|[0-9a-fA-F:]+:[0-9a-fA-F:.]*", method) and len(fields) > 5:
            address, method = f"{address}/{method}", fields[5]
        found.append(HbaRule(fields[0].lower(), fields[1], fields[2], address, method.lower(), number))
    return found
