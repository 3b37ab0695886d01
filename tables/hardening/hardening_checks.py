"""Checks of how well the host is protected: what each one wants, what is there, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from tables.errors import TableError
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.indicators.hosts_file import blocked_names
from tables.reasons.hardening.checks import Check, Outcome, unknown
from tables.reasons.hardening.kernel import CHECKS as KERNEL_CHECKS
from tables.reasons.hardening.logins import CHECKS as LOGIN_CHECKS
from tables.reasons.hardening.system import CHECKS as SYSTEM_CHECKS
from tables.schema import BIGINT, TEXT, QueryContext, Row, column, table

_NAME = "hardening_checks"
_HOSTS = "/etc/hosts"


@dataclass(frozen=True)
class HardeningCheck(Row):
    """How one check turned out."""

    check_id: str = column(TEXT, "stable name of the check; asking for one that could not look is an error", index=True)
    category: str = column(TEXT, "ssh, password, updates, firewall, mounts, kernel, logging, docker or files")
    title: str = column(TEXT, "what holds where the check passes")
    applies: int = column(BIGINT, "0 if the host has nothing that the check is about; `actual` says why")
    passed: Optional[int] = column(
        BIGINT, "1 if it is as expected, 0 if not, NULL if it does not apply or could not be looked at"
    )
    expected: str = column(TEXT, "what the check wants")
    actual: Optional[str] = column(TEXT, "what is there")
    why_unknown: Optional[str] = column(TEXT, "why it could not be looked at")
    path: Optional[str] = column(TEXT, "file in which `actual` is written, empty for a default")
    line: Optional[int] = column(BIGINT, "line in it")
    remedy: str = column(TEXT, "what to do where it fails")


def _hosts_file(host: Host) -> Outcome:
    try:
        text = host.files.read_text(_HOSTS)
    except Unreadable as error:
        if not error.is_missing:
            raise
        return Outcome(True, "there is no /etc/hosts")
    found = list(blocked_names(text))
    if not found:
        return Outcome(True, "no name of updates or protection leads to nowhere")
    names = ", ".join(f"{blocked.name} {blocked.address}" for blocked in found[:5])
    return Outcome(False, f"{len(found)} names lead to nowhere: {names}", _HOSTS, found[0].line)


CHECKS = (
    *LOGIN_CHECKS,
    *SYSTEM_CHECKS,
    *KERNEL_CHECKS,
    Check(
        "hosts_file_untampered",
        "files",
        "/etc/hosts keeps the host from no updates and no protection",
        "no update server or security vendor pointed to 0.0.0.0 or the host itself",
        "Remove the lines from /etc/hosts; its time of change (stat /etc/hosts) is a lead to who wrote them.",
        _hosts_file,
    ),
)


@table(
    _NAME,
    HardeningCheck,
    description="Checks of SSH, passwords, updates, firewall, mounts, kernel and logging: what is expected, what is there.",
    sop_steps=(18,),
    examples=[
        "SELECT check_id, actual, path, line, remedy FROM hardening_checks WHERE passed = 0",
        "SELECT check_id, why_unknown FROM hardening_checks WHERE why_unknown <> ''",
    ],
    uses_constraints=True,
)
def hardening_checks(host: Host, query: QueryContext) -> Iterator[HardeningCheck]:
    """One row per check; files and the kernel are read, no program is run.

    A check that could not look (no right to read a file, say) has `passed` NULL and says why in `why_unknown`. Asked for
    by its name (`WHERE check_id = 'firewall_active'`, as policies do), it fails the query with that message instead: no
    row would mean "failed" to osquery and Fleet, and any row "passed", and neither is known.

    On a mounted disk, kernel settings are those that sysctl.d sets, mount options those of fstab, daemons those that
    systemd would start; what only a running kernel tells does not apply. In a container the packet filter and the
    daemons are the host's business and do not apply. Not seen: options on sshd's command line, firewalls made of BPF
    programs or outside of the host, and an ip_tables policy of DROP without a single rule.
    """
    wanted = query.equals("check_id")
    for check in CHECKS:
        if wanted is not None and check.check_id not in wanted:
            continue
        query.check_time()
        outcome = _look(check, host)
        if outcome.why_unknown is not None:
            if wanted is not None:
                raise TableError(f"{check.check_id} could not look: {outcome.why_unknown}")
            query.cannot_tell(f"{check.check_id}: {outcome.why_unknown}")
        yield _row(check, outcome)


def _look(check: Check, host: Host) -> Outcome:
    try:
        return check.look(host)
    except Unreadable as error:
        return unknown(f"{error.path}: {error.why}")
    except OSError as error:
        return unknown(error.strerror or str(error))


def _row(check: Check, outcome: Outcome) -> HardeningCheck:
    return HardeningCheck(
        check_id=check.check_id,
        category=check.category,
        title=check.title,
        applies=outcome.applies,
        passed=outcome.passed,
        expected=check.expected,
        actual=outcome.actual,
        why_unknown=outcome.why_unknown,
        path=outcome.path,
        line=outcome.line,
        remedy=check.remedy,
    )
