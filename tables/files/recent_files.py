"""Files that are new or changed, by ctime: `find / -newerct A ! -newerct B`, and what is notable about each."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, Optional

from tables.errors import BadQuestion, TableError
from tables.host import Host
from tables.host.disk.file_heads import ELF, SCRIPT
from tables.host.disk.file_status import FileStatus
from tables.host.disk.files import Files, Unreadable
from tables.host.disk.folder_reader import KINDS, Changed, Plan
from tables.host.disk.kept_walks import KeptWalks, changed_below
from tables.host.disk.local_mounts import boundaries
from tables.host.disk.mounts import parse_mountinfo
from tables.host.disk.tree_walk import TreeWalk
from tables.host.packages.owners import OwnerUnknown, owners
from tables.indicators.process_names import is_below, process_names
from tables.reasons.borrowed_times import BorrowedTimes
from tables.reasons.fair_choice import FairChoice
from tables.reasons.new_files import is_program, oddities
from tables.schema import BIGINT, EQUALS, TEXT, QueryContext, Row, Words, clean_text, column, table
from tables.time_span import LIMITS, Span, asked_span

_TABLE = "recent_files"
# The last quarter is kept for looking up packages and handing over the rows.
_BUDGET_SECONDS = 120.0
_MAX_FILES = 20_000
_MAX_NAMED = 5
_MOUNTINFO_LIMIT = 8 << 20
_NANO = 1_000_000_000
# The SOP's own exceptions, below the root folder; a query that names one as `root` gets it. Of /run, which changes all the
# time and where accounts have folders of their own, the programs are looked at, but not those that shut the machine down.
_LEFT_OUT = ("proc", "sys", "run/initramfs")
_VOLATILE = "/run/"


@dataclass(frozen=True)
class RecentFile(Row):
    """One file that changed within the span of time asked for."""

    path: str = column(TEXT, "file")
    kind: str = column(
        TEXT, "regular, directory, symlink, fifo, socket, block or character; `kind = 'regular'` saves time", index=True
    )
    ctime: int = column(BIGINT, "last change of content or status (unix seconds), which nobody can set", index=True)
    mtime: int = column(BIGINT, "last change of content (unix seconds), which anybody can set with touch")
    btime: Optional[int] = column(BIGINT, "when the file was made on this file system (unix seconds); NULL where none is kept")
    mode: str = column(TEXT, "permission bits, octal")
    owner_uid: int = column(BIGINT, "owner")
    owner_gid: int = column(BIGINT, "group")
    file_size: int = column(BIGINT, "bytes")
    is_executable: int = column(BIGINT, "1 for a regular file that anybody may execute")
    is_elf: Optional[int] = column(
        BIGINT,
        "1 for a program or library in machine code; NULL when it could not be read; `is_elf = 1` saves memory",
        index=True,
    )
    is_script: Optional[int] = column(BIGINT, "1 for a file that begins with `#!`; NULL when it could not be read")
    is_program: int = column(
        BIGINT, "1 for a regular file that is executable, in machine code or a script; `is_program = 1` saves memory", index=True
    )
    is_setuid: int = column(BIGINT, "1 for a regular file that runs with its owner's rights")
    is_setgid: int = column(BIGINT, "1 for a regular file that runs with its group's rights")
    is_hidden: int = column(BIGINT, "1 if the name, or a folder above, begins with a dot")
    is_immutable: Optional[int] = column(BIGINT, "1 if not even root can change it (chattr +i); NULL where there is no such mark")
    mtime_before_btime: Optional[int] = column(
        BIGINT, "1 if the content claims to be older than the file; so do copies with cp -p, and what tar, dpkg or rpm unpack"
    )
    is_timestomped: Optional[int] = column(
        BIGINT,
        "1 for an unpackaged program whose mtime is to the nanosecond that of a system file of another size (touch -r), or more "
        "than a day after its ctime; other forged times look like unpacked ones. NULL when its package is not known",
    )
    package: Optional[str] = column(TEXT, "package that owns the program; looked up for ELF files, scripts and executables only")
    is_packaged: Optional[int] = column(BIGINT, "1 if a package owns it, 0 if none does, NULL if not a program or not known")
    reasons: Optional[str] = column(
        TEXT,
        "what is notable, comma separated; of hidden programs, those in no known tool's folder",
        words=Words.listed(
            "unpackaged_elf_in_system_folder hidden_program",
            explaining="program_in_temporary_folder timestomped setuid setgid immutable append_only",
        ),
    )
    since: Optional[str] = column(
        TEXT, "constraint: only later than this: unix seconds, '2026-11-20 10:00:00', '-2 days'", index=True, hidden=True
    )
    until: Optional[str] = column(TEXT, "constraint: and not later than this, written like `since`", index=True, hidden=True)
    root: str = column(TEXT, "constraint: folder to walk, default /", index=True, hidden=True)


@table(
    _TABLE,
    RecentFile,
    description="Files new or changed by ctime in the last 24 hours or any span of time, and what is notable about each.",
    sop_steps=(12,),
    examples=[
        "SELECT path, ctime, reasons FROM recent_files WHERE since = '2026-11-20 10:00:00' AND until = '2026-11-20 12:00:00' "
        "AND kind = 'regular'",
        "SELECT path, mtime, btime, package, reasons FROM recent_files WHERE root = '/usr/bin' AND since = '-7 days'",
    ],
    uses_constraints=True,
    cache_seconds=30.0,
    budget_seconds=_BUDGET_SECONDS,
    max_rows=_MAX_FILES,
)
def recent_files(host: Host, query: QueryContext) -> Iterator[RecentFile]:
    """One row per file, folder, link or other thing whose ctime is after `since` and not after `until`, as find has it.

    Dates without a zone are local time. Without `since` the 24 hours before `until` (or now) are looked at, unless `ctime`
    itself is constrained; without `until` there is no end. `root` is a folder; where it is a link, what that leads to. The walk
    enters every local file system below it once (disks, and memory as in /tmp and /dev/shm), but not /proc and /sys, of /run
    the programs alone, and not other machines' and FUSE file systems, and images that cannot be written; a `root` there is
    walked all the same. Files of containers are met in their layers' folders. What a mount covers, and what lies beyond 4,096
    bytes of path, is not seen. Every file is looked at, so the answer costs what find costs: about 2 s of CPU for a million
    files. After 90 s, or for more than 20,000 files, the answer is partial, and minehunt_status says so: programs (executable,
    ELF or script) are kept before all else, then what is newest, of each account and folder (such as /usr/bin) alike. An
    unusable `since`, `until` or `root` fails the query; of several roots those that do not exist, and links into another of
    them (/bin into /usr), are passed over.
    To take them from another table, put that first: `FROM other CROSS JOIN recent_files f ON f.root = other.path`.
    """
    spans = [asked_span(query, *asked) for asked in product(_asked(query, "since"), _asked(query, "until"))]
    rows = 0
    for root in _roots(host, query):
        scan = _Scan(host, query, root)
        for found in scan.run(spans):
            for span in spans:
                if found.status.ctime_ns in span:
                    if rows == _MAX_FILES:
                        query.truncate(f"more than {_MAX_FILES} rows for several spans of time or roots")
                        break
                    rows += 1
                    yield scan.row(found, span)


def _roots(host: Host, query: QueryContext) -> list[str]:
    """The folders to walk; of several not those that do not exist, nor links into another of them."""
    named = [root or "/" for root in _asked(query, "root")]
    if len(named) == 1:
        return named
    there = [root for root in named if host.files.exists(root)]
    if not there:
        query.cannot_tell(f"no such folders: {', '.join(named[:_MAX_NAMED])}")
    return [root for root in there if not _leads_into(host, root, there)]


def _leads_into(host: Host, root: str, others: list[str]) -> bool:
    """Whether `root` is a link to a folder below one of the others, as /bin is on hosts with a merged /usr."""
    try:
        real = host.files.real_path(root)
    except OSError:
        return False
    return real != root and any(real.startswith(other.rstrip("/") + "/") for other in others if other != root)


def _asked(query: QueryContext, name: str) -> list[Optional[str]]:
    """The different values asked for in a hidden column; [None] when there is none."""
    values: list[Optional[str]] = [*dict.fromkeys(query.equals(name) or ())]
    for value in values:
        if not value or clean_text(value) != value or "\0" in value:
            raise BadQuestion(f"{name}: {clean_text(value or '')!r} cannot be asked for")
    return values or [None]


def _kinds(query: QueryContext) -> frozenset[str]:
    """The kinds of file that can match the query."""
    if any(term.op != EQUALS and term.op not in LIMITS for term in query.constraints.get("kind", ())):
        return KINDS
    asked = query.equals("kind")
    if asked is None:
        return KINDS
    # SQLite compares under any collation, so letters and trailing blanks may differ.
    return KINDS & {text.casefold().rstrip(" ") for text in asked}


class _Found(NamedTuple):
    """A file that changed: its path on the host, and what it is by its first bytes where it is regular and readable."""

    path: str
    status: FileStatus
    head: Optional[bytes]

    @property
    def is_program(self) -> bool:
        """Whether it is executable, an ELF file or a script."""
        return is_program(self.status, self.head)


class _Scan:
    """One walk below one root, and what is said about the files that it found."""

    def __init__(self, host: Host, query: QueryContext, root: str) -> None:
        self.host = host
        self.query = query
        self.root = root
        self.packages: dict[str, Optional[str]] = {}
        self.times = BorrowedTimes(host.files)
        self.lawful: frozenset[str] = frozenset()
        # Asked of the query once: the walk asks for every file.
        self.wants_elf, self.wants_program = (query.equal_integers(name) == [1] for name in ("is_elf", "is_program"))

    def run(self, spans: list[Span]) -> list[_Found]:
        """What changed in one of the spans, by path; at most _MAX_FILES of it."""
        folder = self._folder()
        strip = 0 if self.host.is_live else len(self.host.files.root)
        programs, others = FairChoice[_Found](_MAX_FILES), FairChoice[_Found](_MAX_FILES)
        files, walk = self._changed(folder, spans)
        writable = process_names().writable_folders
        for located, status, head in files:
            if any(status.ctime_ns in span for span in spans):
                found = _Found(located[strip:], status, head)
                if not self._is_asked_for(found):
                    continue
                # An account that makes many files, or a folder full of them, pushes no other's out.
                place = is_below(found.path, writable) or tuple(found.path.split("/", 3)[1:3])
                group = status.owner_uid, place
                # Of files of one moment it does not matter which process read them first.
                (programs if found.is_program else others).add(group, (status.ctime_ns, found.path), found)
        programs.trim()
        others.most = _MAX_FILES - len(programs)
        kept = sorted((*programs, *others), key=lambda file: file.path)
        self._note(walk, programs.dropped + others.dropped)
        try:
            self.packages = owners(self.host, [file.path for file in kept if file.is_program])
        except OwnerUnknown as error:
            self.query.cannot_tell(str(error))
        self.lawful = self.times.lawful((file.path, file.status) for file in kept if self.packages.get(file.path, "") is None)
        return kept

    def _changed(self, folder: str, spans: list[Span]) -> tuple[Iterable[Changed], TreeWalk]:
        """What may have changed in one of the spans, and the walk that finds it."""
        kinds = _kinds(self.query)
        ends = [span.last for span in spans if span.last is not None]
        last = max(ends) if len(ends) == len(spans) else None
        plan = Plan(self._closed(folder), kinds, min(span.earliest for span in spans), last)
        settings = self.host.settings
        kept = self.host.state("walks", KeptWalks) if settings.is_triage else None
        programs_only = kinds == {"regular"} and (self.wants_elf or self.wants_program)
        return changed_below(kept, folder, plan, programs_only, self._must_stop(), settings.side_by_side)

    def _is_asked_for(self, found: _Found) -> bool:
        """Whether a query for programs, or for ELF files, can want it."""
        if self._is_volatile(found.path) and not found.is_program:
            return False
        return not (self.wants_elf and found.head != ELF) and not (self.wants_program and not found.is_program)

    def _is_volatile(self, path: str) -> bool:
        """Whether it lies below /run and that was not asked for."""
        return path.startswith(_VOLATILE) and not (self.root + "/").startswith(_VOLATILE)

    def _folder(self) -> str:
        """Where our own process finds the root of the walk."""
        if not self.root.startswith("/"):
            raise BadQuestion(f"root: {self.root!r} is no absolute path")
        try:
            located = os.path.realpath(self.host.files.locate(self.root))
            is_folder = stat.S_ISDIR(self.host.files.stat(self.root).st_mode)
        except OSError as error:
            raise BadQuestion(f"root: {self.root}: {error.strerror or error}") from None
        if not is_folder:
            raise BadQuestion(f"root: {self.root} is no folder")
        return located

    def _closed(self, folder: str) -> dict[str, Optional[str]]:
        try:
            mountinfo = Files().read("/proc/self/mountinfo", _MOUNTINFO_LIMIT)
        except Unreadable as error:
            # Without the mounts a walk could end up on another machine.
            raise TableError(f"the mounts are not known: {error}") from None
        found = boundaries(parse_mountinfo(mountinfo), folder)
        if found.left_out:
            more = ", …" if len(found.left_out) > _MAX_NAMED else ""
            self.query.cannot_tell(f"not walked: {', '.join(found.left_out[:_MAX_NAMED])}{more}")
        left_out = () if self.root.strip("/") else _LEFT_OUT
        return {**found.closed, **{os.path.join(self.host.files.root, name): None for name in left_out}}

    def _must_stop(self) -> Callable[[], bool]:
        end = self.query.deadline - self.query.budget_seconds / 4
        return lambda: time.monotonic() > end

    def _note(self, walk: TreeWalk, dropped: int) -> None:
        if dropped:
            self.query.truncate(
                f"{dropped} files beyond {_MAX_FILES} are left out; of each account and folder programs and the newest were kept"
            )
        if walk.cut:
            self.query.truncate(walk.cut)
        if walk.lost:
            more = walk.lost_count - len(walk.lost)
            lost = "; ".join(f"{path}: {why}" for path, why in walk.lost)
            self.query.could_not_see(lost + (f"; and {more} more" if more else ""))

    def row(self, found: _Found, span: Span) -> RecentFile:
        """The file as a row."""
        status = found.status
        is_regular = stat.S_ISREG(status.mode)
        is_read = found.head is not None or not is_regular
        is_packaged = self.packages[found.path] is not None if found.path in self.packages else None
        is_suspect = is_packaged is False and found.path not in self.lawful
        is_forged = None if is_packaged is None else is_suspect and self.times.is_forged(status)
        return RecentFile(
            path=found.path,
            kind=status.kind,
            ctime=status.ctime_ns // _NANO,
            mtime=status.mtime_ns // _NANO,
            btime=None if status.btime_ns is None else status.btime_ns // _NANO,
            mode=status.permissions,
            owner_uid=status.owner_uid,
            owner_gid=status.owner_gid,
            file_size=status.file_size,
            is_executable=is_regular and bool(status.mode & 0o111),
            is_elf=found.head == ELF if is_read else None,
            is_script=found.head == SCRIPT if is_read else None,
            is_program=found.is_program,
            is_setuid=is_regular and bool(status.mode & stat.S_ISUID),
            is_setgid=is_regular and bool(status.mode & stat.S_ISGID),
            is_hidden="/." in found.path,
            is_immutable=status.is_immutable,
            mtime_before_btime=None if status.btime_ns is None else status.mtime_ns < status.btime_ns,
            is_timestomped=is_forged,
            package=self.packages.get(found.path),
            is_packaged=is_packaged,
            reasons=",".join(oddities(found.path, status, found.head, is_packaged, bool(is_forged))),
            since=span.since,
            until=span.until,
            root=self.root,
        )
