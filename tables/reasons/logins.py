"""What counts as guessing passwords, and the login attempts added up by where they came from and whom they were for.

The numbers follow what fail2ban and sshd's MaxAuthTries take for normal: people mistype a few times, programs with an old
password fail seldom and for one account only.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterator
from typing import NamedTuple, Optional

from tables.host.logins.log import FAILURE, GIVEN_UP, SSHD, SUCCESS, Attempt

# So many failures from one address within so many minutes are guessing; a window slides by whole minutes.
BURST_FAILURES = 10
BURST_MINUTES = 10
# Slow guessing: so many within a day, for so many accounts.
SLOW_FAILURES = 60
SLOW_ACCOUNTS = 3
# For how long a login by password after guessing counts as its success.
SUCCESS_MINUTES = 24 * 60
# One address that fails for so many accounts tries out names.
MANY_ACCOUNTS = 10

# Methods in which a password can be guessed; None where the record does not say.
_GUESSABLE = ("password", "keyboard-interactive", "keyboard-interactive/pam", None)
_MAX_GROUPS = 20_000
_MAX_MINUTES = 100_000
_MAX_NAMES = 1_000
_MAX_ALL_NAMES = 100_000
_MAX_TIMES = 5_000
_MAX_CONNECTIONS = 4_096
_MAX_VALUES = 100


class _Origin:
    """All that came from one address; for local programs, one account's attempts at one service."""

    __slots__ = ("accounts", "failures", "minutes")

    def __init__(self) -> None:
        self.failures = 0
        self.minutes: dict[int, int] = {}
        self.accounts: set[int] = set()

    def guessing(self) -> Optional[_Guessing]:
        """When passwords were guessed; None where they were not."""
        if self.failures < BURST_FAILURES:
            return None
        found = _Guessing(self.minutes, len(self.accounts))
        return found if found.at else None


class _Guessing:
    """The minutes at which an address had failed often enough to be called guessing."""

    def __init__(self, minutes: dict[int, int], accounts: int) -> None:
        times = sorted(minutes)
        before = [0, *itertools.accumulate(minutes[time] for time in times)]
        self.at = []
        for index, time in enumerate(times):
            burst = before[index + 1] - before[bisect.bisect_right(times, time - BURST_MINUTES)]
            slow = before[index + 1] - before[bisect.bisect_right(times, time - SUCCESS_MINUTES)]
            if burst >= BURST_FAILURES or (slow >= SLOW_FAILURES and accounts >= SLOW_ACCOUNTS):
                self.at.append(time)

    def precedes(self, minute: int) -> bool:
        """Whether guessing went on within the day before `minute`, that minute included."""
        index = bisect.bisect_right(self.at, minute)
        return index > 0 and self.at[index - 1] > minute - SUCCESS_MINUTES


class Group:
    """The attempts for one account at one service from one address; times in unix seconds, None where there was none."""

    __slots__ = (
        "accepted_methods", "by_password", "failures", "files", "first_failure", "first_success", "last_failure", "last_success",
        "methods", "successes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.failures = 0
        self.successes = 0
        self.first_failure: Optional[int] = None
        self.last_failure: Optional[int] = None
        self.first_success: Optional[int] = None
        self.last_success: Optional[int] = None
        self.methods: tuple[str, ...] = ()
        self.accepted_methods: tuple[str, ...] = ()
        self.files: tuple[str, ...] = ()
        # Logins by password: minute to number and first second.
        self.by_password: dict[int, tuple[int, int]] = {}


class Finding(NamedTuple):
    """One group with its judgement; `username` is None for all accounts that do not exist."""

    address: Optional[str]
    username: Optional[str]
    service: str
    group: Group
    address_failures: int
    address_accounts: int
    successes_after: int
    first_success_after: Optional[int]
    reasons: tuple[str, ...]


class LoginJudge:
    """Adds up attempts in any order of files, and judges them. Takes memory for a bounded number of addresses only.

    `known` are the accounts of the host: a name that is not among them, and that the log calls invalid, is only counted, because
    people type passwords where the name belongs. `is_cut` tells that not every attempt has found a place.
    """

    def __init__(self, known: Collection[str]) -> None:
        self.known = known
        self.is_cut = False
        self._groups: dict[tuple[Optional[str], Optional[str], str], Group] = {}
        self._origins: dict[tuple[Optional[str], str], _Origin] = {}
        self._minutes = 0
        self._names = 0
        self._connections: dict[tuple[str, str, int], str] = {}

    def add(self, time: int, attempt: Attempt, path: str) -> None:
        """Count an attempt of unix time `time`, told by the log at `path`."""
        is_new = attempt.verdict == SUCCESS or self._is_new(attempt, path)
        if attempt.verdict == GIVEN_UP and not is_new:
            return
        name = None if attempt.is_invalid and attempt.username not in self.known else attempt.username or None
        group = self._groups.get((attempt.address, name, attempt.service))
        if group is None:
            group = Group()
            if len(self._groups) < _MAX_GROUPS or attempt.verdict == SUCCESS:
                self._groups[attempt.address, name, attempt.service] = group
            else:
                self.is_cut = True
        group.files = _with(group.files, path)
        group.methods = _with(group.methods, attempt.method)
        if attempt.verdict == SUCCESS:
            self._succeeded(group, time, attempt)
        elif is_new:
            self._failed(group, time, attempt, name)

    def _is_new(self, attempt: Attempt, path: str) -> bool:
        """Whether a failure has not been counted yet: a connection that is given up may have failed, or the other way round."""
        if attempt.address is None or attempt.port is None:
            return attempt.verdict == FAILURE
        key = (path, attempt.address, attempt.port)
        before = self._connections.get(key)
        if before is None and len(self._connections) >= _MAX_CONNECTIONS:
            for old in list(itertools.islice(self._connections, _MAX_CONNECTIONS // 2)):
                del self._connections[old]
        if before != FAILURE:
            self._connections[key] = attempt.verdict
        if attempt.verdict == GIVEN_UP:
            return before is None
        return before != GIVEN_UP or attempt.times > 1

    def _succeeded(self, group: Group, time: int, attempt: Attempt) -> None:
        group.successes += attempt.times
        group.first_success = min(time, group.first_success or time)
        group.last_success = max(time, group.last_success or time)
        group.accepted_methods = _with(group.accepted_methods, attempt.method)
        if attempt.method in _GUESSABLE and (len(group.by_password) < _MAX_TIMES or time // 60 in group.by_password):
            count, first = group.by_password.get(time // 60, (0, time))
            group.by_password[time // 60] = (count + attempt.times, min(first, time))

    def _failed(self, group: Group, time: int, attempt: Attempt, name: Optional[str]) -> None:
        group.failures += attempt.times
        group.first_failure = min(time, group.first_failure or time)
        group.last_failure = max(time, group.last_failure or time)
        key = _origin_key(attempt.address, name, attempt.service)
        origin = self._origins.get(key)
        if origin is None:
            if len(self._origins) >= _MAX_GROUPS:
                self.is_cut = True
                return
            origin = self._origins[key] = _Origin()
        origin.failures += attempt.times
        account = hash(attempt.username)
        if account not in origin.accounts:
            if self._names >= _MAX_ALL_NAMES:
                self.is_cut = True
            elif len(origin.accounts) < _MAX_NAMES:
                self._names += 1
                origin.accounts.add(account)
        minute = time // 60
        if minute not in origin.minutes:
            if self._minutes >= _MAX_MINUTES:
                self.is_cut = True
                return
            self._minutes += 1
        origin.minutes[minute] = origin.minutes.get(minute, 0) + attempt.times

    def findings(self) -> Iterator[Finding]:
        """Every group, in a fixed order."""
        guessing = {key: origin.guessing() for key, origin in self._origins.items()}
        for key in sorted(self._groups, key=lambda key: tuple(part or "" for part in key)):
            address, name, service = key
            group = self._groups[key]
            origin_key = _origin_key(*key)
            origin = self._origins.get(origin_key) or _Origin()
            found = guessing.get(origin_key)
            after = sorted(minute for minute in group.by_password if found.precedes(minute)) if found else []
            yield Finding(
                address=address,
                username=name,
                service=service,
                group=group,
                address_failures=origin.failures,
                address_accounts=len(origin.accounts),
                successes_after=sum(group.by_password[minute][0] for minute in after),
                first_success_after=group.by_password[after[0]][1] if after else None,
                reasons=_reasons(key, group, origin, found is not None, bool(after)),
            )


def _with(values: tuple[str, ...], value: Optional[str]) -> tuple[str, ...]:
    return values if value is None or value in values or len(values) >= _MAX_VALUES else (*values, value)


def _origin_key(address: Optional[str], name: Optional[str], service: str) -> tuple[Optional[str], str]:
    return (address, "") if address else (name, service)


def _reasons(
    key: tuple[Optional[str], Optional[str], str], group: Group, origin: _Origin, is_guessing: bool, got_in: bool
) -> tuple[str, ...]:
    address, name, service = key
    reasons = []
    if is_guessing:
        reasons.append("brute_force")
    if address and len(origin.accounts) >= MANY_ACCOUNTS:
        reasons.append("many_accounts")
    if service == SSHD and name == "root" and any(method in _GUESSABLE for method in group.accepted_methods):
        reasons.append("root_password_login")
    if got_in:
        reasons.append("success_after_brute_force")
    return tuple(reasons)
