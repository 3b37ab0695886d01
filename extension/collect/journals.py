"""What systemd's journal holds around the times of an incident: on many hosts it is the only log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from extension.collect.logs import spans_around
from extension.collect.reading import Item, read_file
from extension.triage import iso_time
from tables.host.disk.files import Files, Unreadable
from tables.host.logins.journal import Entry, JournalFile, journal_files

_FIELDS = frozenset({"MESSAGE", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "_UID", "_HOSTNAME", "_SYSTEMD_UNIT"})
_LONGEST_BYTES = 64 << 20


def journal_items(files: Files, moments: Iterable[int], max_item: int) -> Iterator[tuple[str, Item]]:
    """Of each journal that was written within ten minutes of one of the moments: its lines of that time, and the file itself.

    Each with the name that it gets in the archive. Of a file larger than `max_item` there are only the lines; what
    is compressed in it is missing from those, and counted.
    """
    spans = spans_around(moments)
    for path in journal_files(files):
        try:
            with closing(JournalFile(files, path)) as journal:
                if not any(journal.first <= last and first <= journal.last for first, last in spans):
                    continue
                lines = _lines(journal, spans)
        except Unreadable as error:
            yield f"{path}.txt", Item(path, None, {"why_not": error.why})
            continue
        whole = read_file(files.locate(path), max_item)
        facts = {key: value for key, value in whole.facts.items() if key not in ("cut_at", "why_not")}
        facts.update(kept="the entries within ten minutes of the findings' times", values_left_out=journal.unread)
        if len(lines) > _LONGEST_BYTES:
            facts["cut_at"] = _LONGEST_BYTES
        yield f"{path}.txt", Item(path, lines[:_LONGEST_BYTES], facts)
        if whole.data is not None and "cut_at" not in whole.facts:
            yield path, whole


def _lines(journal: JournalFile, spans: list[tuple[int, int]]) -> bytes:
    lines = bytearray()
    for entry in journal.between(spans, _FIELDS):
        lines += _line(entry)
        if len(lines) > _LONGEST_BYTES:
            break
    return bytes(lines)


def _line(entry: Entry) -> bytes:
    """As journalctl's short-iso has it, in UTC, with the unit and the account."""
    fields = entry.fields
    name = fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM", "")
    pid = fields.get("_PID") or fields.get("SYSLOG_PID", "")
    process = f"{name}[{pid}]" if pid else name
    origin = " ".join(f"{key}={fields[field]}" for key, field in (("unit", "_SYSTEMD_UNIT"), ("uid", "_UID")) if field in fields)
    # A message of several lines is one entry still.
    message = fields.get("MESSAGE", "").replace("\n", "\n    ")
    text = f"{iso_time(entry.time)} {fields.get('_HOSTNAME', '-')} {process}: {message}" + (f" ({origin})" if origin else "")
    return text.encode("utf-8", "surrogateescape") + b"\n"
