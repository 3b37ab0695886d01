"""Where a host keeps what is known of logins: syslog's files, journal files, wtmp and btmp, each event from one of them only."""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import itertools
import os
import re
import struct
import time
import zoneinfo
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.disk.line_reader import LineReader
from tables.host.disk.rotated_logs import LogFile, rotations
from tables.host.logins.journal import JournalFile, journal_files
from tables.host.logins.log import (
    FAILURE,
    PROGRAMS,
    SSHD,
    SUCCESS,
    Attempt,
    Clock,
    is_relevant,
    parse_line,
    parse_message,
    plain_address,
)
from tables.host.logins.utmp import LAYOUT, LOGIN_PROCESS, USER_PROCESS, parse_logins
from tables.schema import QueryContext

# Debian and Ubuntu; EL; and SUSE and Alpine, which have no log of their own for logins.
_AUTH_LOGS = ("/var/log/auth.log", "/var/log/secure")
_COMMON_LOG = "/var/log/messages"
_WTMP, _BTMP = "/var/log/wtmp", "/var/log/btmp"
FILE_LIMIT = 32 * 1024 * 1024
TOTAL_LIMIT = 128 * 1024 * 1024
_UTMP_LIMIT = LAYOUT.size * 40_000
_JOURNAL_ENTRIES = 100_000
_ZONE_LIMIT = 64 * 1024
# A scan that runs late gives what it has, newest first, instead of nothing.
_SPARE_SECONDS = 5.0
# Whoever can start a process can name it sshd; these log as the user who calls them.
_CALLED_BY_USERS = ("sudo", "su")
_MAX_STAMP = 64
_PACKED = (".gz", ".xz", ".bz2", ".lz4")
_MONTH = re.compile(rb"^[A-Z][a-z]{2}(?= [ 0-9]\d )", re.MULTILINE)
_STAMPED = re.compile(rb"^(?:[A-Z][a-z]{2} [ 0-9]\d |\d{4}-\d\d-)", re.MULTILINE)
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")

# First and last moment, in unix seconds.
Span = tuple[int, int]


class Logged(NamedTuple):
    """One attempt: when (unix seconds), what, and the file that tells of it."""

    time: int
    attempt: Attempt
    origin: str


class LoginRecords:
    """The login attempts on one host; what could not be read is said to the query.

    Text logs come first. Of the journal only entries outside the time that the text logs span count, of wtmp and btmp only
    records outside the time that both span: the same login stands in all of them. Bounds: 32 MiB a file and 128 MiB in all
    (unpacked), 100,000 journal entries, 40,000 records of wtmp and btmp, the newest first; what is left out is truncated.
    """

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.files = host.files
        self.query = query
        self._zone = self._time_zone()
        self._text_span: Optional[Span] = None
        self._journal_span: Optional[Span] = None
        self._left = TOTAL_LIMIT
        self._journal_left = _JOURNAL_ENTRIES

    def attempts(self) -> Iterator[Logged]:
        """Every attempt; those of one file in its order, newer files before older ones."""
        sources = 0
        logs = self._text_logs()
        for index, log in enumerate(logs):
            sources += 1
            # A log full of short lines gets no more of the time than its bytes are of those still to be read.
            share = _bytes_to_read(log) / sum(map(_bytes_to_read, logs[index:]))
            end = time.monotonic() + share * max(0.0, self.query.seconds_left() - _SPARE_SECONDS)
            yield from self._guarded(log.path, self._from_text(log, end))
        for path in self._listed_journals():
            sources += 1
            yield from self._guarded(path, self._from_journal(path))
        for base in (_WTMP, _BTMP):
            for log in self._rotations(base):
                sources += bool(log.file_size)
                yield from self._guarded(log.path, self._from_utmp(log, is_failed=base == _BTMP))
        if not sources:
            self.query.could_not_see(
                "no log of logins: none of auth.log, secure, messages, a journal, wtmp and btmp has any content"
            )

    def _guarded(self, path: str, found: Iterator[Logged]) -> Iterator[Logged]:
        try:
            yield from found
        except OSError as error:
            self.query.could_not_see(str(error) if path in str(error) else f"{path}: {error}")

    def _rotations(self, path: str) -> list[LogFile]:
        try:
            return rotations(self.files, path)
        except OSError as error:
            self.query.could_not_see(str(error))
            return []

    def _text_logs(self) -> list[LogFile]:
        logs = [log for path in _AUTH_LOGS for log in self._rotations(path) if log.file_size]
        return sorted(logs or [log for log in self._rotations(_COMMON_LOG) if log.file_size], key=lambda log: -log.mtime)

    def _listed_journals(self) -> list[str]:
        try:
            return journal_files(self.files)
        except OSError as error:
            self.query.could_not_see(str(error))
            return []

    def _is_late(self, path: str) -> bool:
        is_late = self.query.seconds_left() < _SPARE_SECONDS
        if is_late:
            self.query.truncate(f"{path}: out of time; older entries were not read")
        return is_late

    def _from_text(self, log: LogFile, end: float) -> Iterator[Logged]:
        if self._is_late(log.path):
            return
        if self._left <= 0:
            self.query.truncate(f"{log.path}: not read, {TOTAL_LIMIT} bytes of newer logs were")
            return
        reader = LineReader(self.files, log.path, min(FILE_LIMIT, self._left))
        clock: Optional[Clock] = None
        first: Optional[int] = None
        line = b""
        try:
            for block in reader.blocks():
                clock = clock or self._clock(log, reader, block[:_MAX_STAMP])
                for line in block.split(b"\n") if is_relevant(block) or (first is None and _STAMPED.search(block)) else ():
                    if not (is_relevant(line) or (first is None and _STAMPED.match(line))):
                        continue
                    parsed = parse_line(line)
                    seconds = clock.seconds(parsed.stamp) if parsed else None
                    if parsed is None or seconds is None:
                        continue
                    first = seconds if first is None else first
                    attempt = parse_message(parsed.program, parsed.message)
                    if attempt is not None:
                        yield Logged(seconds, attempt, log.path)
                if time.monotonic() > end:
                    self.query.truncate(f"{log.path}: out of time; only {reader.bytes_read} bytes were read")
                    break
        finally:
            self._left -= reader.bytes_read
            if first is not None:
                # One span for all text logs: a rotation leaves no gap.
                self._text_span = _joined(self._text_span, (first, max(first, log.mtime)))
        if reader.is_cut:
            self.query.truncate(f"{log.path}: only {reader.limit} bytes were read")

    def _clock(self, log: LogFile, reader: LineReader, first_line: bytes) -> Clock:
        """The clock for a log; of a compressed one, which rotation keeps shorter than a year, the first line is enough."""
        months: Iterator[bytes] = iter(_MONTH.findall(first_line))
        if _MONTH.match(first_line) and not reader.is_compressed:
            blocks = LineReader(self.files, log.path, reader.limit).blocks()
            months = itertools.chain.from_iterable(map(_MONTH.findall, blocks))
        return Clock.for_file((month.decode() for month in months), log.mtime, self._zone)

    def _time_zone(self) -> datetime.tzinfo:
        # What zoneinfo raises for a damaged file is not documented; in one that is cut it looks for newlines for ever.
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AssertionError, OverflowError, struct.error):
            data = self.files.read("/etc/localtime", _ZONE_LIMIT)
            zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(data + b"\n\n"))
            datetime.datetime.now(zone)
            return zone
        return datetime.timezone.utc

    def _from_journal(self, path: str) -> Iterator[Logged]:
        if self._is_late(path):
            return
        if self._journal_left <= 0:
            self.query.truncate(f"{path}: not read, {_JOURNAL_ENTRIES} newer journal entries were")
            return
        with contextlib.closing(JournalFile(self.files, path)) as journal:
            self._journal_span = _joined(self._journal_span, (journal.first, journal.last))
            if _within(journal.first, self._text_span) and _within(journal.last, self._text_span):
                return
            entries = journal.entries("_COMM", PROGRAMS, ("_COMM", "_UID", "MESSAGE"), self._journal_left)
            for number, entry in enumerate(entries):
                if number % 1000 == 999 and self._is_late(path):
                    break
                self._journal_left -= 1
                program = entry.fields.get("_COMM", "")
                is_trusted = entry.fields.get("_UID") == "0" or program in _CALLED_BY_USERS
                attempt = parse_message(program, entry.fields.get("MESSAGE", "")) if is_trusted else None
                if attempt is not None and not _within(entry.time, self._text_span):
                    yield Logged(entry.time, attempt, path)
            if self._journal_left <= 0:
                self.query.truncate(f"{path}: only {_JOURNAL_ENTRIES} journal entries were read")
            if journal.unread:
                self.query.could_not_see(f"{path}: {journal.unread} compressed values were passed over")

    def _from_utmp(self, log: LogFile, is_failed: bool) -> Iterator[Logged]:
        kinds = (LOGIN_PROCESS, USER_PROCESS) if is_failed else (USER_PROCESS,)
        size = log.file_size - log.file_size % LAYOUT.size
        if size > _UTMP_LIMIT:
            self.query.truncate(f"{log.path}: only {_UTMP_LIMIT} bytes were read")
        with os.fdopen(self.files.open(log.path), "rb") as file:
            file.seek(max(0, size - _UTMP_LIMIT))
            data = file.read(_UTMP_LIMIT)
        if data.startswith(_COMPRESSED):
            raise Unreadable(log.path, "compressed login records are not read", errno.ENOTSUP)
        for login in parse_logins(data):
            if login.kind not in kinds or _within(login.time, self._text_span) or _within(login.time, self._journal_span):
                continue
            # sshd writes `ssh:notty` for a failure; a session from elsewhere has a pseudo-terminal.
            service = SSHD if login.tty.startswith("ssh") or (login.host and login.tty.startswith("pts/")) else "login"
            address = plain_address(login.host)
            if not is_failed and (address is None or login.host.startswith(":")):
                continue
            verdict = FAILURE if is_failed else SUCCESS
            yield Logged(login.time, Attempt(verdict, service, login.user, address, is_invalid=is_failed), log.path)


def _bytes_to_read(log: LogFile) -> int:
    """About how many bytes are read of a log; text becomes ten times as long unpacked, or much more."""
    return 1 + min(FILE_LIMIT, log.file_size * (10 if log.path.endswith(_PACKED) else 1))


def _within(time: int, span: Optional[Span]) -> bool:
    return span is not None and span[0] <= time <= span[1]


def _joined(one: Optional[Span], other: Span) -> Span:
    return (min(one[0], other[0]), max(one[1], other[1])) if one else other
