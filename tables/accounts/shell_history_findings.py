"""Suspicious commands in the shell histories of all accounts."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import itertools
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.fair_shares import in_time
from tables.host import Host
from tables.host.accounts.databases import Account
from tables.host.accounts.shell_histories import MAX_COMMAND, NAMES, Entered, parse_history
from tables.host.disk.files import Files, Unreadable
from tables.reasons.command_patterns import command_words
from tables.reasons.commands import command_reasons
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table
from tables.text.archives import UNPACKERS
from tables.text.secrets import mask_secrets
from tables.text.shell import parse

_TABLE = "shell_history_findings"
_FILE_LIMIT = 8 * 1024 * 1024
_COMMAND_LIMIT = 4096
_MAX_COMMANDS = 20_000
_LINES_A_LOOK = 4096
_MAX_ROWS = 1000
# How many commands later a fetched file may be run to count as one deed.
_FOLLOWING = 6
_FETCHES = re.compile(r"\b(?:curl|wget|fetch|aria2c|axel|ftpget|tftp|lynx)\b")
_RUNS = "download_and_run"
_SWITCHED_OFF = "history_switched_off"
_NOWHERE = "/dev/null"
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
    alerting = ("download_and_run", "encoded_payload", _SWITCHED_OFF)
    return Words(alerting, tuple(word for word in command_words().alerting if word not in alerting))


@dataclass(frozen=True)
class ShellHistoryFinding(Row):
    """One command of one history file that is suspicious, or a file that keeps none (line 0)."""

    path: str = column(TEXT, "history file", index=True)
    line: int = column(BIGINT, "line of the file that the command starts on; 0 where the file itself is what is odd")
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
    """One row per command with a reason, and per history that is a link to /dev/null, in every home of /etc/passwd.

    The histories are those of bash, zsh, fish, ash and sh.
    A file that is fetched and started up to six commands later counts as `download_and_run`, on the line that fetches it.
    Secrets are replaced by `***`: the user part of URLs, the values of options, variables and headers named like password,
    token, secret or key, curl's -u, mysql's -p, sshpass's -p, redis-cli's -a, what is piped into sudo -S, chpasswd and
    passwd, and tokens of well-known form.
    Reads 8 MiB a file, judges its last 20,000 commands (64 KiB of each) and gives 1000 rows a file. Accounts
    share the time: those with short histories come first, and what is left of it is for the longer ones. Not seen: a history
    that the shell never wrote (HISTFILE unset, a session still open) or that HISTFILE or ZDOTDIR puts
    elsewhere, and accounts of a directory service.
    """
    accounts = host.accounts.needed()
    accounts.say_gap(query)
    histories = [_History(account, _sizes(host.files, account)) for account in accounts.by_home.values()]
    for history, end in in_time(query, histories, lambda each: sum(each.sizes.values())):
        errors: list[str] = []
        for path in history.sizes:
            query.check_time()
            try:
                data = host.files.read(path, _FILE_LIMIT + 1)
            except Unreadable as error:
                if _leads_nowhere(host, path):
                    yield ShellHistoryFinding(
                        path=path, line=0, username=history.account.name, entered_at=None, command="", download_host=None,
                        download_by_address=0, reasons=_SWITCHED_OFF,
                    )  # fmt: skip
                elif not error.is_missing:
                    errors.append(str(error))
                continue
            if len(data) > _FILE_LIMIT:
                query.truncate(f"{path}: only the first {_FILE_LIMIT} bytes were read")
            yield from _rows(history.account, path, io.BytesIO(data[:_FILE_LIMIT]), query, end)
        # A home out of reach is one problem, not one for every file that may be in it.
        account = history.account
        query.could_not_see(*(errors if len(errors) < len(NAMES) else [f"the shell histories of {account.name}: {errors[0]}"]))


class _History(NamedTuple):
    """An account, and its history files with their bytes on disk."""

    account: Account
    sizes: dict[str, int]


def _sizes(files: Files, account: Account) -> dict[str, int]:
    sizes = dict.fromkeys((f"{account.home.rstrip('/')}/{name}" for name in NAMES), 0)
    for path in sizes:
        with contextlib.suppress(Unreadable):
            sizes[path] = files.stat(path).st_size
    return sizes


def _leads_nowhere(host: Host, path: str) -> bool:
    """Whether `path` is a link to /dev/null."""
    try:
        return host.files.link_target(path) == _NOWHERE
    except Unreadable:
        return False


def _rows(account: Account, path: str, lines: Iterable[bytes], query: QueryContext, end: float) -> Iterator[ShellHistoryFinding]:
    """The rows of one file; `end` (time.monotonic) is when the account's time is over."""
    entered: deque[Entered] = deque(maxlen=_MAX_COMMANDS)
    total = 0
    for entry in parse_history(_in_time(lines, path, query, end), path):
        total += 1
        entered.append(entry._replace(command=entry.command[:MAX_COMMAND]))
    if total > _MAX_COMMANDS:
        query.truncate(f"{path}: only the last {_MAX_COMMANDS} commands were judged")
    count = 0
    while entered:
        if time.monotonic() > end:
            query.truncate(f"{path}: out of time; the commands from line {entered[0].line} on were not judged")
            return
        reasons = _reasons(entered)
        entry = entered.popleft()
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


def _in_time(lines: Iterable[bytes], path: str, query: QueryContext, end: float) -> Iterator[bytes]:
    """The lines, as far as the account's time reaches."""
    for number, line in enumerate(lines, 1):
        if number % _LINES_A_LOOK == 0 and time.monotonic() > end:
            query.truncate(f"{path}: out of time; the lines from {number} on were not read")
            return
        yield line


def _reasons(entered: Sequence[Entered]) -> list[str]:
    """The reasons of the first command, and whether a later one runs what it fetches."""
    command = entered[0].command
    reasons = command_reasons(command)
    if _RUNS not in reasons and _FETCHES.search(command):
        following = [entry.command for entry in itertools.islice(entered, 1, 1 + _FOLLOWING)]
        if not _BARE_ADDRESS.search(command):
            # People build what they unpack from a named site.
            following = [text for text in following if not _unpacks(text)]
        if _RUNS in command_reasons("\n".join([command, *following])) and _RUNS not in command_reasons("\n".join(following)):
            reasons = sorted([*reasons, _RUNS])
    return reasons


def _unpacks(text: str) -> bool:
    return any(found.name in UNPACKERS for command in parse(text).commands if (found := command.invocation) is not None)


def _is_outside(text: str) -> bool:
    """Whether `text` is an IP address that no private network has."""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return not any(address in network for network in _LOCAL_NETWORKS)
