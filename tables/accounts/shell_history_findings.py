"""Suspicious commands in the shell histories of all accounts."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from tables.host import Host
from tables.host.accounts.databases import Account
from tables.host.accounts.shell_histories import NAMES, Entered, parse_history
from tables.host.disk.files import Unreadable
from tables.reasons.commands import command_reasons, command_words
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.text.secrets import mask_secrets

_TABLE = "shell_history_findings"
_FILE_LIMIT = 8 * 1024 * 1024
_COMMAND_LIMIT = 4096
_JUDGED_LIMIT = 64 * 1024
_MAX_COMMANDS = 20_000
# The part of the time left that one file may take: one over this.
_TIME_SHARE = 4
_MAX_ROWS = 1000
# How many commands later a fetched file may be run to count as one deed.
_FOLLOWING = 6
_FETCHES = re.compile(r"\b(?:curl|wget|fetch|aria2c|axel|ftpget|tftp|lynx)\b")
_RUNS = "download_and_run"
_HOST = re.compile(r"(?:https?|ftp)://(?:[^\s/@\"']{0,512}@)?(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})", re.IGNORECASE)
_BARE_ADDRESS = re.compile(r"(?<![\w.])((?:\d{1,3}\.){3}\d{1,3})(?=[:/])")
# Sites' own networks; the documentation ranges are not among them, unlike in ipaddress's is_private.
_LOCAL_NETWORKS = [
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]


def _words() -> Words:
    # What administrators type too is evidence; what a start-up file does is not typed by accident.
    alerting = ("download_and_run", "encoded_payload")
    return Words(alerting, tuple(word for word in command_words().alerting if word not in alerting))


@dataclass(frozen=True)
class ShellHistoryFinding(Row):
    """One command of one history file that is suspicious."""

    path: str = column(TEXT, "history file", index=True)
    line: int = column(BIGINT, "line of the file that the command starts on")
    username: str = column(TEXT, "account whose home holds the file")
    entered_at: Optional[int] = column(BIGINT, "when it was entered (unix seconds); NULL where the shell does not keep that")
    command: str = column(TEXT, "the command, at most 4096 characters; what looks like a password or token is `***`")
    download_host: Optional[str] = column(TEXT, "host in the first URL of the command, the user part left out")
    download_by_address: int = column(BIGINT, "1 if it fetches from a bare IP address outside private networks")
    reasons: str = column(
        TEXT, "what is suspicious, comma separated (patterns in indicators/data/command_patterns.yaml)", words=_words
    )


@table(
    _TABLE,
    ShellHistoryFinding,
    description="Commands in the accounts' shell histories that fetch and run code, start miners, hide or tamper.",
    sop_steps=(17,),
    examples=["SELECT path, line, entered_at, command, reasons FROM shell_history_findings ORDER BY entered_at"],
    cache_seconds=30.0,
)
def shell_history_findings(host: Host, query: QueryContext) -> Iterator[ShellHistoryFinding]:
    """One row per command with a reason, from the histories of bash, zsh, fish, ash and sh in every home of /etc/passwd.

    A file that is fetched and started up to six commands later counts as `download_and_run`, on the line that fetches it.
    Secrets are replaced by `***`: the user part of URLs, the values of options, variables and headers named like password,
    token, secret or key, curl's -u, mysql's -p, sshpass's -p, redis-cli's -a, what is piped into sudo -S, chpasswd and
    passwd, and tokens of well-known form.
    Reads 8 MiB a file, judges its last 20,000 commands (64 KiB of each) and gives 1000 rows a file. Not seen: a history
    that the shell never wrote (HISTFILE unset, a session still open, a link to /dev/null) or that HISTFILE or ZDOTDIR puts
    elsewhere, and accounts of a directory service.
    """
    accounts = host.accounts.needed()
    accounts.say_gap(query)
    for account in accounts.by_home.values():
        errors: list[str] = []
        for name in NAMES:
            query.check_time()
            path = f"{account.home.rstrip('/')}/{name}"
            try:
                data = host.files.read(path, _FILE_LIMIT + 1)
            except Unreadable as error:
                if not error.is_missing:
                    errors.append(str(error))
                continue
            if len(data) > _FILE_LIMIT:
                query.truncate(f"{path}: only the first {_FILE_LIMIT} bytes were read")
            yield from _rows(account, path, data[:_FILE_LIMIT], query)
        # A home out of reach is one problem, not one for every file that may be in it.
        query.could_not_see(*(errors if len(errors) < len(NAMES) else [f"the shell histories of {account.name}: {errors[0]}"]))


def _rows(account: Account, path: str, data: bytes, query: QueryContext) -> Iterator[ShellHistoryFinding]:
    # One account's padded history must not keep the others from being read.
    end = time.monotonic() + query.seconds_left() / _TIME_SHARE
    entered = [entry._replace(command=entry.command[:_JUDGED_LIMIT]) for entry in parse_history(data, path)]
    skipped = max(0, len(entered) - _MAX_COMMANDS)
    if skipped:
        query.truncate(f"{path}: only the last {_MAX_COMMANDS} commands were judged")
    count = 0
    for index in range(skipped, len(entered)):
        entry = entered[index]
        if time.monotonic() > end:
            query.truncate(f"{path}: out of time; the commands from line {entry.line} on were not judged")
            return
        reasons = _reasons(entered, index)
        if not reasons:
            continue
        count += 1
        if count > _MAX_ROWS:
            query.truncate(f"{path}: only {_MAX_ROWS} suspicious commands are given")
            return
        named = _HOST.search(entry.command)
        address = named or _BARE_ADDRESS.search(entry.command)
        yield ShellHistoryFinding(
            path=path,
            line=entry.line,
            username=account.name,
            entered_at=entry.time,
            command=mask_secrets(entry.command[:_COMMAND_LIMIT]),
            download_host=address[1] if address else None,
            download_by_address=address is not None and _is_outside(address[1]),
            reasons=",".join(reasons),
        )


def _reasons(entered: Sequence[Entered], index: int) -> list[str]:
    """The reasons of one command, and whether a later one runs what it fetches."""
    command = entered[index].command
    reasons = command_reasons(command)
    if _RUNS not in reasons and _FETCHES.search(command):
        deed = "\n".join(entry.command for entry in entered[index : index + 1 + _FOLLOWING])
        later = "\n".join(entry.command for entry in entered[index + 1 : index + 1 + _FOLLOWING])
        if _RUNS in command_reasons(deed) and _RUNS not in command_reasons(later):
            reasons = sorted([*reasons, _RUNS])
    return reasons


def _is_outside(text: str) -> bool:
    """Whether `text` is an IP address that no private network has."""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return not any(address in network for network in _LOCAL_NETWORKS)
