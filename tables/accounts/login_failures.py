"""Logins that failed and that worked, by address and account: who guessed passwords, and who got in that way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.logins.records import LoginRecords
from tables.reasons.logins import LoginJudge
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "login_failures"
_MAX_FILES_SHOWN = 5


@dataclass(frozen=True)
class LoginFailures(Row):
    """All attempts for one account at one service from one address."""

    remote_address: Optional[str] = column(TEXT, "address (or name) that the attempts came from; empty for this host itself")
    username: Optional[str] = column(
        TEXT, "account asked for, for sudo the one that asked; empty for all that do not exist: people type passwords there"
    )
    service: str = column(TEXT, "sshd, sudo, su, login, or another of PAM's services")
    failures: int = column(BIGINT, "attempts that failed; changes with every call")
    successes: int = column(BIGINT, "attempts that worked; changes with every call")
    successes_after_failures: int = column(
        BIGINT, "logins by password within a day after the address had guessed passwords; changes with every call"
    )
    first_failure: Optional[int] = column(BIGINT, "first failure that the logs still hold (unix seconds)")
    last_failure: Optional[int] = column(BIGINT, "last failure (unix seconds); changes with every call")
    first_success: Optional[int] = column(BIGINT, "first success that the logs still hold (unix seconds)")
    last_success: Optional[int] = column(BIGINT, "last success (unix seconds); changes with every call")
    first_success_after_failures: Optional[int] = column(BIGINT, "first of successes_after_failures (unix seconds)")
    methods: Optional[str] = column(
        TEXT, "authentication methods tried, comma separated, as sshd calls them; empty where not logged"
    )
    accepted_methods: Optional[str] = column(TEXT, "methods that let somebody in")
    invalid_user: int = column(BIGINT, "1 if no such account exists")
    address_failures: int = column(BIGINT, "failures from this address for all accounts; changes with every call")
    address_accounts: int = column(BIGINT, "accounts for which this address failed, up to 1000; changes with every call")
    origin: str = column(TEXT, "up to five files that tell of it, comma separated; changes with every rotation of logs")
    reasons: Optional[str] = column(
        TEXT,
        "what stands out, comma separated",
        words=Words.listed("", explaining="brute_force many_accounts root_password_login success_after_brute_force"),
    )


@table(
    _TABLE,
    LoginFailures,
    description="Logins over SSH, sudo, su and the console that failed or worked, by address and account; who guessed passwords.",
    sop_steps=(17,),
    examples=[
        "SELECT remote_address, username, first_success_after_failures, accepted_methods FROM login_failures"
        " WHERE reasons LIKE '%success_after_brute_force%'",
        "SELECT remote_address, MAX(address_failures) AS failures FROM login_failures WHERE reasons LIKE '%brute_force%'"
        " GROUP BY remote_address ORDER BY failures DESC LIMIT 20",
    ],
    cache_seconds=60.0,
    budget_seconds=20.0,
)
def login_failures(host: Host, query: QueryContext) -> Iterator[LoginFailures]:
    """One row per remote address, account and service.

    Read are /var/log/auth.log and secure (messages where neither exists) with their rotated files, plain, gzip, xz or bzip2;
    then the journal's files, for the time that the text logs do not span; then wtmp and btmp, for what is left. At most 32 MiB
    a file and 128 MiB in all are unpacked, newest first.

    Guessing (`brute_force`) is ten failures from one address within ten minutes, or sixty within a day for three accounts or
    more; `success_after_brute_force` is a login by password from the same address within a day after that, for any account.
    Logins by key never count as guessed; of those that only wtmp tells of the method is not known, and they do.
    `many_accounts` is ten accounts or more. Names that only failed and that are no account here are not shown, only counted.
    A connection that ends without a verdict counts as one failure.

    Not seen: guessing from many addresses at once that each try seldom, what was deleted from the logs, Debian 13's
    wtmpdb. Every local user can write lines into syslog's files; of the journal only what root's processes wrote is taken.
    """
    records = LoginRecords(host, query)
    accounts = host.accounts
    accounts.say_gap(query)
    judge = LoginJudge(frozenset(accounts.by_name))
    for time, attempt, path in records.attempts():
        judge.add(time, attempt, path)
    if judge.is_cut:
        query.truncate("more addresses, accounts and times than are kept")
    for found in judge.findings():
        group = found.group
        yield LoginFailures(
            remote_address=found.address,
            username=found.username,
            service=found.service,
            failures=group.failures,
            successes=group.successes,
            successes_after_failures=found.successes_after,
            first_failure=group.first_failure,
            last_failure=group.last_failure,
            first_success=group.first_success,
            last_success=group.last_success,
            first_success_after_failures=found.first_success_after,
            methods=",".join(sorted(group.methods)),
            accepted_methods=",".join(sorted(group.accepted_methods)),
            invalid_user=found.username is None,
            address_failures=found.address_failures,
            address_accounts=found.address_accounts,
            origin=",".join(sorted(group.files)[:_MAX_FILES_SHOWN]),
            reasons=",".join(found.reasons),
        )
