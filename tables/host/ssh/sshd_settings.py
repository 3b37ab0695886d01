"""What OpenSSH's server is told: settings, Match blocks and the defaults of its versions (sshd_config(5))."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import NamedTuple, Optional

from tables.unseen import Unseen

# Keywords of which every occurrence counts.
_CUMULATIVE = frozenset(
    {"acceptenv", "allowgroups", "allowusers", "denygroups", "denyusers", "hostcertificate", "hostkey", "listenaddress", "port"}
)
# Criteria of Match that an account alone decides.
_OF_ACCOUNT = frozenset({"all", "user", "group"})

Version = tuple[int, int]

# What sshd does when nothing says otherwise, and the values of older versions: (below that version, value), oldest first.
_DEFAULTS: dict[str, str] = {
    "allowagentforwarding": "yes",
    "allowtcpforwarding": "yes",
    "authenticationmethods": "any",
    "authorizedkeyscommand": "none",
    "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
    "banner": "none",
    "clientalivecountmax": "3",
    "clientaliveinterval": "0",
    "gatewayports": "no",
    "gssapiauthentication": "no",
    "hostbasedauthentication": "no",
    "ignorerhosts": "yes",
    "kbdinteractiveauthentication": "yes",
    "kerberosauthentication": "no",
    "logingracetime": "120",
    "loglevel": "INFO",
    "maxauthtries": "6",
    "maxsessions": "10",
    "maxstartups": "10:30:100",
    "passwordauthentication": "yes",
    "permitemptypasswords": "no",
    "permitrootlogin": "prohibit-password",
    "permittunnel": "no",
    "permituserenvironment": "no",
    "port": "22",
    "protocol": "2",
    "pubkeyauthentication": "yes",
    "strictmodes": "yes",
    "syslogfacility": "AUTH",
    "tcpkeepalive": "yes",
    "usedns": "no",
    "usepam": "no",
    "x11forwarding": "no",
}
_OLDER_DEFAULTS: dict[str, tuple[tuple[Version, str], ...]] = {
    "maxstartups": (((6, 2), "10"),),
    "permitrootlogin": (((7, 0), "yes"),),
    "protocol": (((5, 4), "2,1"),),
    "usedns": (((6, 8), "yes"),),
}


class Setting(NamedTuple):
    """One keyword (in small letters, by its present name) with its value; `path` and `line` are None for a default."""

    keyword: str
    value: str
    arguments: tuple[str, ...]
    path: Optional[str] = None
    line: Optional[int] = None


class Criterion(NamedTuple):
    """One condition of a Match line: its name in small letters and its pattern list (`*`, `?`, `!` as in ssh_config(5))."""

    name: str
    patterns: str


class MatchBlock(NamedTuple):
    """One Match block: where it starts, its condition (with those of the blocks around an Include), what it sets."""

    path: str
    line: int
    criteria: tuple[Criterion, ...]
    settings: tuple[Setting, ...]

    @property
    def condition(self) -> str:
        """The condition in words of the file: `user anna address 10.0.0.0/8`."""
        return " ".join(" ".join(filter(None, criterion)) for criterion in self.criteria)

    @property
    def depends_on_connection(self) -> bool:
        """Whether it takes more than the account to tell if the block applies: an address, a port, a host."""
        return any(criterion.name not in _OF_ACCOUNT for criterion in self.criteria)

    def may_apply_to(self, username: str, groups: Iterable[str]) -> bool:
        """Whether the block applies to some login of the account: its connection criteria are taken to hold."""
        names = list(groups)
        for criterion in self.criteria:
            if criterion.name == "user" and not _matches(criterion.patterns, [username]):
                return False
            if criterion.name == "group" and not _matches(criterion.patterns, names):
                return False
            if criterion.name == "invalid-user":
                return False
        return True


class SshdConfig(NamedTuple):
    """The settings in force.

    `files` are those read, the main one first (empty: there is no configuration, so no sshd can start); `settings` are
    the values outside of Match blocks by keyword, in order; `unseen` what could not be read;
    `version` is that of the installed sshd, None where none was found.
    """

    files: tuple[str, ...]
    settings: dict[str, tuple[Setting, ...]]
    matches: tuple[MatchBlock, ...]
    unseen: Unseen
    version: Optional[Version]

    def get(self, keyword: str) -> Optional[Setting]:
        """The value of a keyword outside of Match blocks, or its default; None when it has neither."""
        found = self.settings.get(keyword.lower())
        return found[0] if found else self.default(keyword)

    def value(self, keyword: str) -> str:
        """Like `get`, the value alone; "" when there is none."""
        found = self.get(keyword)
        return found.value if found else ""

    def values(self, keyword: str) -> tuple[Setting, ...]:
        """All occurrences that count: every one for AllowUsers, Port and the like, else the first; the default if none."""
        found = self.settings.get(keyword.lower())
        if found:
            return found if keyword.lower() in _CUMULATIVE else found[:1]
        default = self.default(keyword)
        return (default,) if default else ()

    def default(self, keyword: str) -> Optional[Setting]:
        """What the installed sshd (the newest, where it is not known) does when nothing sets the keyword."""
        name = keyword.lower()
        value = _DEFAULTS.get(name)
        for below, older in _OLDER_DEFAULTS.get(name, ()):
            if self.version is not None and self.version < below:
                value = older
        return None if value is None else Setting(name, value, tuple(value.split()))

    def overrides(self, keyword: str) -> tuple[tuple[MatchBlock, Setting], ...]:
        """The Match blocks that set a keyword, each with its first value for it, in order."""
        found = []
        for block in self.matches:
            first = next((setting for setting in block.settings if setting.keyword == keyword.lower()), None)
            if first is not None:
                found.append((block, first))
        return tuple(found)

    def for_user(self, keyword: str, username: str, groups: Iterable[str]) -> tuple[Setting, ...]:
        """Every value that may be in force for a login of the account, the likeliest last.

        Match User, Group and All are decided. Blocks that depend on the connection (Address, Host, LocalAddress,
        LocalPort, RDomain, Version …) may or may not apply, so that their values come with the one that applies
        otherwise. A value in a Match block goes before those outside; the first matching block wins.
        """
        possible = []
        names = list(groups)
        for block, setting in self.overrides(keyword):
            if block.may_apply_to(username, names):
                possible.append(setting)
                if not block.depends_on_connection:
                    return tuple(possible)
        last = self.get(keyword)
        return tuple([*possible, last] if last else possible)


def _matches(patterns: str, names: Iterable[str]) -> bool:
    """Whether one of the names matches the comma-separated patterns; one that matches a `!` pattern decides against it."""
    candidates = list(names)
    found = False
    for pattern in patterns.split(","):
        wanted = pattern.lstrip("!").replace("[", "[[]")
        if any(fnmatch.fnmatchcase(name, wanted) for name in candidates):
            if pattern.startswith("!"):
                return False
            found = True
    return found
