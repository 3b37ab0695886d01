"""Libraries that the dynamic loader puts into programs that did not ask for them, and folders that it is sent to."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.host.disk.raw_files import differences, read_raw
from tables.host.loader.mapped_libraries import most_mapped
from tables.host.loader.preloads import FOLDER_VARIABLE, LIBRARY_VARIABLES, PreloadFile, parse_ld_so_conf
from tables.host.loader.sources import RunningSetting, entries, root_folder, running_settings
from tables.host.processes.procfs import Process
from tables.host.startup.environment_settings import EnvironmentSettings, LoaderSetting
from tables.reasons.finding_columns import exception_column
from tables.reasons.preloads import Judged, PreloadJudge
from tables.schema import BIGINT, TEXT, QueryContext, Row, Words, column, table

_TABLE = "preloaded_libraries"
_PRELOAD = "/etc/ld.so.preload"
_LD_SO_CONF = "/etc/ld.so.conf"
_LIMIT = 1 << 20
_MAX_SHOWN = 5


@dataclass(frozen=True)
class PreloadedLibrary(Row):
    """One library (or folder of libraries) and one way in which programs come to load it."""

    path: str = column(TEXT, "the library, or the folder where the loader is told to look for libraries")
    mechanism: str = column(
        TEXT, "ld.so.preload, ld.so.conf, environment (of a process, or a file that sets it), unit (systemd), or mapped (in use)"
    )
    variable: Optional[str] = column(TEXT, "LD_PRELOAD, LD_AUDIT or LD_LIBRARY_PATH; empty where no variable is at work")
    source_path: Optional[str] = column(TEXT, "file that names it; empty for what was found in processes")
    line: Optional[int] = column(BIGINT, "line of that file")
    pid: Optional[int] = column(BIGINT, "oldest process that has it; changes when that process ends")
    process_name: Optional[str] = column(TEXT, "comm of that process; changes when that process ends")
    mapped_processes: Optional[int] = column(BIGINT, "processes that have it; changes with every call")
    processes_looked_at: Optional[int] = column(BIGINT, "out of how many that could have it; changes with every call")
    package: Optional[str] = column(TEXT, "package that owns it; empty when none does or when that is not known")
    owner_uid: Optional[int] = column(BIGINT, "owner of the file")
    mode: Optional[str] = column(TEXT, "permission bits, octal")
    mtime: Optional[int] = column(BIGINT, "last change of its content, in unix seconds")
    ctime: Optional[int] = column(BIGINT, "last change of its inode, in unix seconds, which nobody can set")
    sha256: Optional[str] = column(TEXT, "SHA-256 of the library; empty for folders, files out of reach and those above 256 MiB")
    reasons: Optional[str] = column(
        TEXT,
        "what is suspicious, comma separated",
        words=Words.listed(
            "content_differs deleted evades_limits hidden_from_libc hidden_from_listing hidden_path memfd size_mismatch "
            "temp_path writable_by_others",
            explaining="missing unowned",
        ),
    )
    exception: Optional[str] = exception_column()
    evidence: str = column(TEXT, "where it was found, in words")


class _Place(NamedTuple):
    """Something that names a library: the columns that say where."""

    mechanism: str
    evidence: str
    variable: Optional[str] = None
    source_path: Optional[str] = None
    line: Optional[int] = None
    process: Optional[Process] = None
    mapped_processes: Optional[int] = None
    looked_at: Optional[int] = None


@table(
    _TABLE,
    PreloadedLibrary,
    description="Libraries put into programs by ld.so.preload, LD_PRELOAD or LD_AUDIT, and stray ones that most have mapped.",
    sop_steps=(5, 10, 11),
    examples=[
        "SELECT path, mechanism, source_path, line, pid, reasons, evidence FROM preloaded_libraries WHERE exception = ''",
    ],
    cache_seconds=15.0,
)
def preloaded_libraries(host: Host, query: QueryContext) -> Iterator[PreloadedLibrary]:
    """One row per library and way; LD_LIBRARY_PATH and ld.so.conf give rows only for temporary, hidden or open folders.

    /etc/ld.so.preload is read by system call numbers, past a library that shows programs an empty file, and compared with its
    size and with what libc shows; kilobytes of blanks and comments in it are evades_limits. A library in most of the packaged
    programs that were started since the first that has it (at most 400 processes, the newest), although no package owns it or
    its file is hidden, temporary or deleted, is a preload whatever that file says. Of processes' environments only the
    loader's variables are read; processes with the same value in one root folder are one row. Of units all files and drop-ins
    are read, also masked ones, and what EnvironmentFile= names. In a container no package database is asked. Below another
    root folder than / only files are read. Without root, only one's own processes are seen; minehunt_status says so.
    """
    scan = _Scan(host, query)
    yield from scan.configured_folders()
    yield from scan.preload_file()
    yield from scan.setting_files()
    if host.is_live:
        yield from scan.processes()
        if not host.is_root:
            query.could_not_see("not root: the environment and mappings of other users' processes are not readable")


class _Scan:
    """Makes the rows of one scan."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.files = host.files
        self.query = query
        self.judge = PreloadJudge(host, query)

    def preload_file(self) -> Iterator[PreloadedLibrary]:
        """The entries of /etc/ld.so.preload, and the file itself when calls disagree about it."""
        try:
            file = PreloadFile()
            raw = read_raw(self.files, _PRELOAD, _LIMIT, feed=file.feed)
        except Unreadable as error:
            # The loader reads nothing but a regular file.
            if error.why != "not a regular file":
                raise
            self.query.could_not_see(str(error))
            return
        odd = differences(self.files, _PRELOAD, _LIMIT)
        # The file may have changed between the calls.
        odd = [reason for reason in differences(self.files, _PRELOAD, _LIMIT) if reason in odd] if odd else []
        odd += self._limits(_PRELOAD, file)
        named = file.entries
        for line, library in named:
            judged = self.judge.library(library, "ld.so.preload")
            # Whoever falsifies the file has something to hide.
            judged = judged._replace(reasons=[*judged.reasons, *odd], exception=None if odd else judged.exception)
            yield _row(judged, _Place("ld.so.preload", f"line {line} of {_PRELOAD}: {library}", None, _PRELOAD, line))
        if odd and not named:
            size = f"{raw.file_size} bytes by statx, {len(raw.data)} read" if raw else "no such file by system call"
            evidence = f"{_PRELOAD} is shown differently by different calls: {size}"
            if "evades_limits" in odd:
                evidence = f"{_PRELOAD} begins with {file.padding} bytes of blanks and comments"
            judged = Judged(_PRELOAD, odd, status=raw.status if raw else None)
            yield _row(judged, _Place("ld.so.preload", evidence, None, _PRELOAD))

    def configured_folders(self) -> Iterator[PreloadedLibrary]:
        """The odd folders of ld.so.conf and its .d folder."""
        for path in (_LD_SO_CONF, *entries(self.files, f"{_LD_SO_CONF}.d")):
            for line, folder in parse_ld_so_conf(self._text(path)):
                self.judge.folders.append(folder)
                judged = self.judge.folder(folder)
                if judged is not None:
                    yield _row(judged, _Place("ld.so.conf", f"line {line} of {path}: {folder}", None, path, line))

    def setting_files(self) -> Iterator[PreloadedLibrary]:
        """What systemd units, the environment files that they name, those of the system, and shell profiles set."""
        settings = EnvironmentSettings(self.files, self.query)
        for found in settings:
            if not isinstance(found, LoaderSetting):
                continue
            evidence = f"line {found.line} of {found.location} sets {found.variable}"
            place = _Place(found.mechanism, evidence, found.variable, found.location, found.line)
            for value in found.values:
                is_folder = found.variable == FOLDER_VARIABLE
                judged = self.judge.folder(value) if is_folder else self.judge.library(value, found.mechanism)
                if judged is not None:
                    yield _row(judged, place)

    def processes(self) -> Iterator[PreloadedLibrary]:
        """What processes have in their environment, what containers have in their ld.so.preload, what most have mapped."""
        procfs, own = self.host.truth, self.host.own_processes()
        processes = [one for one in procfs.processes() if one.identity not in own and not one.is_kernel_thread and one.stat.vsize]
        settings, roots = running_settings(procfs, processes, self.query.check_time)
        ours = root_folder(procfs, "self")
        preloaded: dict[str, set[int]] = {}
        for setting in settings:
            if setting.variable in LIBRARY_VARIABLES:
                preloaded.setdefault(setting.value, set()).update(user.pid for user in setting.users)
            judged = self._setting(setting, setting.root != ours)
            if judged is not None:
                pids = ", ".join(str(user.pid) for user in setting.users[:_MAX_SHOWN])
                evidence = f"{setting.variable} of {pids}{', …' if len(setting.users) > _MAX_SHOWN else ''} names {setting.value}"
                counts = len(setting.users), len(processes)
                yield _row(judged, _Place("environment", evidence, setting.variable, None, None, setting.users[0], *counts))
        for root, process in roots.items():
            if root != ours:
                yield from self._inside(process)
        # What a variable brought into all of them is told already.
        found = (
            one for one in most_mapped(procfs, processes, self.query.check_time) if not one.pids <= preloaded.get(one.path, set())
        )
        for one, judged in self.judge.mapped(found):
            evidence = f"mapped by most packaged programs started since process {one.first.pid}, the first that has it"
            yield _row(judged, _Place("mapped", evidence, None, None, None, one.first, len(one.pids), one.looked_at))

    def _setting(self, setting: RunningSetting, is_inside: bool) -> Optional[Judged]:
        process = setting.users[0]
        if setting.variable == FOLDER_VARIABLE:
            return self.judge.folder(setting.value, process, is_inside)
        if is_inside:
            return self.judge.library_inside(setting.value, "environment", process)
        return self.judge.library(setting.value, "environment", process)

    def _inside(self, process: Process) -> Iterator[PreloadedLibrary]:
        """The entries of ld.so.preload in the root folder of a container or chroot."""
        file = PreloadFile()
        try:
            read_raw(self.files, self.judge.root_of(process) + _PRELOAD, _LIMIT, feed=file.feed)
        except OSError as error:
            self.query.could_not_see(str(error))
            return
        odd = self._limits(f"{_PRELOAD} in the root folder of process {process.pid}", file)
        for line, library in file.entries:
            evidence = f"line {line} of {_PRELOAD} in the root folder of process {process.pid}: {library}"
            judged = self.judge.library_inside(library, "ld.so.preload", process)
            judged = judged._replace(reasons=[*judged.reasons, *odd], exception=None if odd else judged.exception)
            yield _row(judged, _Place("ld.so.preload", evidence, None, _PRELOAD, line, process))

    def _limits(self, path: str, file: PreloadFile) -> list[str]:
        """Say what of a file that names libraries was not read; evades_limits where blanks and comments fill kilobytes of it."""
        file.end()
        if file.missed:
            self.query.truncate(f"{path}: {file.missed}")
        return ["evades_limits"] if file.is_hiding else []

    def _text(self, path: str) -> str:
        try:
            return self.files.read_text(path, _LIMIT)
        except Unreadable as error:
            # A masked unit is a link to /dev/null; folders lie among the files.
            if not error.is_missing and error.why != "not a regular file":
                self.query.could_not_see(str(error))
            return ""


def _row(judged: Judged, place: _Place) -> PreloadedLibrary:
    status = judged.status
    return PreloadedLibrary(
        path=judged.path,
        mechanism=place.mechanism,
        variable=place.variable,
        source_path=place.source_path,
        line=place.line,
        pid=place.process.pid if place.process else None,
        process_name=place.process.name if place.process else None,
        mapped_processes=place.mapped_processes,
        processes_looked_at=place.looked_at,
        package=judged.package,
        owner_uid=status.st_uid if status else None,
        mode=f"{stat.S_IMODE(status.st_mode):04o}" if status else None,
        mtime=int(status.st_mtime) if status else None,
        ctime=int(status.st_ctime) if status else None,
        sha256=judged.sha256,
        reasons=",".join(sorted(set(judged.reasons))),
        exception=judged.exception,
        evidence=place.evidence,
    )
