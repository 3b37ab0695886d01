"""The accounts of this host with their rights, and what is odd about each of them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.accounts.databases import (
    NOBODY,
    Account,
    PasswdLine,
    ShadowEntry,
    groups_by_account,
    is_login_shell,
    is_system_uid,
    parse_group,
    parse_shadow,
    passwd_lines,
    password_state,
    uid_min,
)
from tables.host.accounts.sudoers import read_sudoers
from tables.host.disk.files import Unreadable
from tables.host.disk.network_mounts import NetworkMounts
from tables.indicators.accounts import admin_groups, service_accounts_with_shell
from tables.reasons.commands import place_reasons
from tables.reasons.open_doors import open_doors
from tables.reasons.sudo import SudoJudge
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "account_findings"
_PASSWD, _SHADOW, _GROUP, _LOGIN_DEFS = "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/login.defs"
_LIMIT = 16 << 20
# What stands in passwd where the hash is in shadow.
_SHADOWED = "x"
_WEAK = frozenset({"des", "bsdi", "md5", "nt", "sha1", "sunmd5"})
_HOME_REASONS = {"temp_path": "home_in_temp", "hidden_path": "hidden_home"}
# Debian's account sys has it; only root writes there.
_SYS_HOME = "/dev"
# Groups of which no service account without a shell is a member by design; agents are in docker.
_PEOPLES_GROUPS = frozenset({"sudo", "wheel", "shadow"})
# Uids below this are the distribution's own, and the same on all hosts (Debian policy 9.2.2; EL's setup package up to 200).
_FIXED_UIDS = 100


@dataclass(frozen=True)
class AccountFinding(Row):
    """One line of /etc/passwd, or an entry of shadow or sudoers that belongs to no account there, or a rule that is odd."""

    username: Optional[str] = column(TEXT, "name of the account; of a rule, whom it means; of PAM's, the service")
    kind: str = column(
        TEXT,
        "account (a line of passwd), nis (a line for NIS), shadow (no such account), sudoers (no one account), pam, doas, polkit",
    )
    account_uid: Optional[int] = column(BIGINT, "its uid; NULL where the line has none")
    account_gid: Optional[int] = column(BIGINT, "its own group's id")
    gecos: Optional[str] = column(TEXT, "comment field")
    home: Optional[str] = column(TEXT, "home folder")
    shell: Optional[str] = column(TEXT, "login shell; empty means /bin/sh")
    path: str = column(TEXT, "file of the entry")
    line: int = column(BIGINT, "line of that file")
    has_login_shell: Optional[int] = column(BIGINT, "0 if the shell is nologin, false, sync or the like")
    is_system_account: Optional[int] = column(BIGINT, "1 for uids from 1 to below login.defs' UID_MIN (1000), and for 65534")
    password_state: Optional[str] = column(
        TEXT, "set, empty (anybody may log in), locked (a hash behind `!`), disabled (no hash), missing (no shadow entry)"
    )
    password_algorithm: Optional[str] = column(TEXT, "crypt(5) algorithm of the hash, which itself is never shown")
    last_change: Optional[int] = column(BIGINT, "day of the last password change, in unix seconds")
    expires: Optional[int] = column(BIGINT, "day on which the account expires, in unix seconds; NULL for never")
    admin_groups: Optional[str] = column(
        TEXT, "its groups whose members can become root (indicators/data/accounts.yaml), comma separated"
    )
    sudo_rules: Optional[str] = column(
        TEXT, "sudoers entries that name it or its groups: `path:line: text`, separated by ` | `; or the rule"
    )
    is_nopasswd: Optional[int] = column(BIGINT, "1 if one of them asks for no password; NULL when sudoers could not be read")
    home_exists: Optional[int] = column(BIGINT, "1 if the home folder is there; NULL when that could not be seen")
    home_owner_uid: Optional[int] = column(BIGINT, "owner of the home folder")
    reasons: Optional[str] = column(
        TEXT,
        "what is odd, comma separated",
        words=Words.listed(
            "duplicate_name duplicate_uid empty_password gid0_not_root hidden_home home_in_temp home_of_root "
            "login_shell_on_system_account malformed_line nis_line nopasswd_doas nopasswd_sudo odd_name odd_shell "
            "pam_accepts_anyone password_on_system_account polkit_allows_everybody sudo_for_everyone sudo_keeps_loader_variable "
            "suspicious_doas_command suspicious_sudo_command system_account_in_admin_group uid0_not_root weak_hash",
            explaining="missing_shadow shadow_without_account",
        ),
    )


@table(
    _TABLE,
    AccountFinding,
    description="Accounts in passwd, shadow, group and sudoers read together: rights, state of the password, what is odd.",
    sop_steps=(13,),
    examples=[
        "SELECT username, account_uid, shell, password_state, reasons FROM account_findings WHERE reasons <> ''",
        "SELECT username, admin_groups, sudo_rules FROM account_findings WHERE admin_groups <> '' OR sudo_rules <> ''",
    ],
)
def account_findings(host: Host, query: QueryContext) -> Iterator[AccountFinding]:
    """One row per line of /etc/passwd, per shadow or sudoers entry that belongs to none of them, and per odd rule of others.

    passwd(5), shadow(5), group(5), sudoers(5), pam.conf(5), doas.conf(5), polkit(8). Of PAM, doas and polkit only rules with a
    reason are rows. Accounts of a directory service (LDAP, sssd, systemd-homed) are not seen. An unreadable /etc/passwd
    fails the query; what the other files would have told is NULL where they cannot be read, and minehunt_status says so.
    """
    facts = _Facts(host, query)
    names = Counter(line.name for line in facts.lines)
    uids = Counter(line.account.uid for line in facts.lines if line.account and not line.is_nis)
    for line in facts.lines:
        query.check_time()
        yield _nis(line) if line.is_nis else _account(facts, line, names[line.name], uids)
    yield from _strays(facts, names)
    yield from _sudo_for_no_one(facts.sudo, query)
    yield from _open_doors(facts)


class _Facts:
    """The account files of one host, each read once; what could not be is said to the query."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self.query = query
        self.network = NetworkMounts.of(host)
        try:
            self.lines = list(passwd_lines(self.files.read(_PASSWD, _LIMIT)))
        except Unreadable as error:
            if not error.is_missing:
                raise
            self.lines = []
            self.query.could_not_see(str(error))
        shadow = self._read(_SHADOW)
        self.shadow: Optional[dict[str, ShadowEntry]] = None
        if shadow is not None:
            self.shadow = {}
            for entry in parse_shadow(shadow):
                self.shadow.setdefault(entry.name, entry)
        accounts = [line.account for line in self.lines if line.account]
        self.groups = groups_by_account(accounts, parse_group(self._read(_GROUP) or b""))
        self.uid_min = uid_min((self._read(_LOGIN_DEFS, needed=False) or b"").decode("utf-8", "replace"))
        self.sudo: Optional[SudoJudge] = None
        try:
            sudoers = read_sudoers(self.files)
        except Unreadable as error:
            self.query.could_not_see(str(error))
        else:
            self.query.take(sudoers.unseen)
            self.sudo = SudoJudge(sudoers)

    def _read(self, path: str, needed: bool = True) -> Optional[bytes]:
        try:
            return self.files.read(path, _LIMIT)
        except Unreadable as error:
            if needed or not error.is_missing:
                self.query.could_not_see(str(error))
            return None

    def home(self, path: str) -> tuple[Optional[bool], Optional[int]]:
        """(whether it exists, its owner); None for what could not be seen, or lies on another machine."""
        if self.network.holds(path):
            return None, None
        try:
            return True, self.files.stat(path).st_uid
        except Unreadable as error:
            return (False if error.is_missing else None), None


def _nis(line: PasswdLine) -> AccountFinding:
    return AccountFinding(username=line.name, kind="nis", path=_PASSWD, line=line.line, reasons="nis_line")


@dataclass(frozen=True)
class _Judged:
    """An account with all that its reasons depend on."""

    account: Account
    uid_sharers: int
    is_system: bool
    has_login_shell: bool
    # Of the password.
    state: Optional[str]
    algorithm: Optional[str]
    admin_groups: tuple[str, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether it is one of the distribution's own accounts, or nobody."""
        return self.account.uid < _FIXED_UIDS or self.account.uid == NOBODY

    @property
    def is_odd_admin(self) -> bool:
        """Whether a service's account is in a group of administrators, where no service has to be."""
        in_peoples_group = not _PEOPLES_GROUPS.isdisjoint(self.admin_groups)
        return bool(self.admin_groups) and (self.is_fixed or (not self.has_login_shell and in_peoples_group))


@functools.lru_cache(maxsize=64)
def _is_odd_shell(shell: str) -> bool:
    return bool(place_reasons(shell))


# What is odd about an account, by its reason.
_RULES: dict[str, Callable[[_Judged], bool]] = {
    "uid0_not_root": lambda one: one.account.uid == 0 and one.account.name != "root",
    "gid0_not_root": lambda one: one.account.gid == 0 and one.account.uid != 0 and one.has_login_shell,
    "home_of_root": lambda one: one.account.home.rstrip("/") == "/root" and one.account.uid != 0 and one.has_login_shell,
    "duplicate_uid": lambda one: one.account.uid != 0 and one.uid_sharers > 1,
    "empty_password": lambda one: one.state == "empty",
    "missing_shadow": lambda one: one.state == "missing",
    "weak_hash": lambda one: one.state in ("set", "locked") and one.algorithm in _WEAK,
    "password_on_system_account": lambda one: one.is_system and one.state == "set",
    "login_shell_on_system_account": lambda one: (
        one.is_system and one.has_login_shell and one.is_fixed and one.account.name not in service_accounts_with_shell()
    ),
    "system_account_in_admin_group": lambda one: one.is_system and one.is_odd_admin,
    "odd_shell": lambda one: _is_odd_shell(one.account.shell),
}


def _account(facts: _Facts, line: PasswdLine, namesakes: int, uids: Counter[int]) -> AccountFinding:
    account = line.account
    reasons = _line_reasons(line, namesakes)
    if account is None:
        return AccountFinding(username=line.name, kind="account", path=_PASSWD, line=line.line, reasons=_joined(reasons))

    is_system = is_system_uid(account.uid, facts.uid_min)
    entry = facts.shadow.get(account.name) if facts.shadow is not None else None
    state, algorithm = _password(line, entry, facts.shadow is not None)
    groups = facts.groups.get(account.name, ())
    members_of = tuple(sorted({group.name for group in groups} & admin_groups()))
    one = _Judged(account, uids[account.uid], is_system, is_login_shell(account.shell), state, algorithm, members_of)
    reasons |= {reason for reason, holds in _RULES.items() if holds(one)}
    granted = facts.sudo.of_account(account, groups, is_system) if facts.sudo else None
    if granted is not None:
        reasons |= granted.reasons
    home_exists, home_owner = None, None
    if account.home.startswith("/"):
        home_exists, home_owner = facts.home(account.home)
        if account.home != _SYS_HOME:
            reasons |= {_HOME_REASONS[place] for place in place_reasons(f"{account.home}/x")}
    return AccountFinding(
        username=account.name,
        kind="account",
        account_uid=account.uid,
        account_gid=account.gid,
        gecos=account.gecos,
        home=account.home,
        shell=account.shell,
        path=_PASSWD,
        line=line.line,
        has_login_shell=one.has_login_shell,
        is_system_account=is_system,
        password_state=state,
        password_algorithm=algorithm,
        last_change=entry.last_change if entry else None,
        expires=entry.expires if entry else None,
        admin_groups=",".join(members_of),
        sudo_rules=" | ".join(granted.rules) if granted else None,
        is_nopasswd=granted.is_nopasswd if granted else None,
        home_exists=home_exists,
        home_owner_uid=home_owner,
        reasons=_joined(reasons),
    )


def _line_reasons(line: PasswdLine, namesakes: int) -> set[str]:
    """What is odd about the line itself, whether or not it makes an account."""
    found = {
        "malformed_line": line.is_malformed,
        "duplicate_name": namesakes > 1,
        "odd_name": not line.name.isprintable() or any(letter.isspace() for letter in line.name),
    }
    return {reason for reason, holds in found.items() if holds}


def _password(line: PasswdLine, entry: Optional[ShadowEntry], can_see: bool) -> tuple[Optional[str], Optional[str]]:
    """(state, algorithm) of the password: the one in passwd itself, else that in shadow."""
    if line.password != _SHADOWED:
        return password_state(line.password)
    if entry is None:
        return ("missing" if can_see else None), None
    return password_state(entry.password)


def _joined(reasons: Iterable[str]) -> str:
    return ",".join(sorted(reasons))


def _strays(facts: _Facts, names: Counter[str]) -> Iterator[AccountFinding]:
    """Shadow entries without an account."""
    for entry in (facts.shadow or {}).values():
        if entry.name not in names:
            state, algorithm = password_state(entry.password)
            yield AccountFinding(
                username=entry.name,
                kind="shadow",
                path=_SHADOW,
                line=entry.line,
                password_state=state,
                password_algorithm=algorithm,
                last_change=entry.last_change,
                expires=entry.expires,
                reasons="shadow_without_account",
            )


def _sudo_for_no_one(judge: Optional[SudoJudge], query: QueryContext) -> Iterator[AccountFinding]:
    """Sudoers entries that are no one account's."""
    for entry in judge.of_nobody() if judge else ():
        query.check_time()
        yield AccountFinding(
            username=entry.who,
            kind="sudoers",
            path=entry.path,
            line=entry.line,
            sudo_rules=entry.text,
            is_nopasswd=entry.is_nopasswd,
            reasons=_joined(entry.reasons),
        )


def _open_doors(facts: _Facts) -> Iterator[AccountFinding]:
    """The odd rules of PAM, doas and polkit."""
    accounts = [line.account for line in facts.lines if line.account]
    services = {account.name for account in accounts if is_system_uid(account.uid, facts.uid_min)}
    for door in open_doors(facts.files, facts.query, services):
        yield AccountFinding(
            username=door.who,
            kind=door.kind,
            path=door.path,
            line=door.line,
            sudo_rules=door.text,
            reasons=_joined(door.reasons),
        )
