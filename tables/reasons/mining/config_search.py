"""The search for miners' configuration files: what running processes name or have beside them, and the usual places."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from tables.fair_shares import in_time
from tables.host import Host
from tables.host.accounts.databases import Account, parse_passwd
from tables.host.disk.files import Unreadable
from tables.host.disk.known_files import KnownFiles
from tables.host.disk.settings_files import SettingsFile, read_settings
from tables.host.disk.shallow_walk import Walk
from tables.host.processes.process_files import ProcessFiles, remote_here
from tables.host.processes.procfs import Process
from tables.indicators.process_names import hidden_component, is_below, process_names
from tables.reasons.mining.configs import MinerConfig, read_miner_config
from tables.reasons.mining.named_configs import (
    BESIDE,
    CONFIG,
    CONFIG_LIMIT,
    HOME_CONFIGS,
    NAMED,
    WORKING,
    is_out_of_reach,
    process_folders,
)
from tables.reasons.mining.process_strings import arguments
from tables.schema import QueryContext
from tables.unseen import say_cut

# Below which a file under any name is read in places where anybody may write.
_MAX_ODD_FILE = 64 * 1024
# A file with a NUL in so many first bytes is no text.
_HEAD = 512
MAX_ENTRIES = 20_000
_MAX_BESIDE = 1000
_MAX_USERS = 16
_MAX_HOMES = 1000
# Folders below each place that are looked into; where anybody may write, as deep as paths can be.
_ANY_DEPTH = 2048
_PLACES = {"/tmp": _ANY_DEPTH, "/var/tmp": _ANY_DEPTH, "/dev/shm": _ANY_DEPTH, "/etc": 2, "/root": 2, "/opt": 2}  # noqa: S108 - read, never written
# Where packages and sites put folders, too many to be walked: of each the file is looked for that xmrig reads by itself.
_PACKAGES_PLACES = (
    "/boot", "/srv", "/usr/lib", "/usr/local", "/usr/local/lib", "/usr/local/share", "/usr/share", "/var", "/var/cache",
    "/var/lib", "/var/www", "/var/www/html",
)  # fmt: skip
_MAX_NAMES = 4096
_HOME_DEPTH = 2
_SUFFIXES = (".json", ".conf", ".cfg", ".ini", ".txt", ".env", ".bat", ".cmd", ".sh")
_OTHER_SUFFIXES = re.compile(r".*(?:history|\.(?:log|md|rst|html?|py|pyc|yar|yara|rules|so|gz|xz|zip|png|jpg|pid|sock|lock|db))")
_RANK = {NAMED: 0, BESIDE: 1, WORKING: 2}


class Content(NamedTuple):
    """What one file holds; `sha256` is None when it was not read whole."""

    config: Optional[MinerConfig]
    sha256: Optional[str]
    is_whole: bool


@dataclass
class FoundConfig:
    """A miner's configuration file, and the processes that come to it with how they do."""

    path: str
    status: os.stat_result
    content: Content
    users: dict[int, str] = field(default_factory=dict)


def _content(file: SettingsFile) -> Content:
    config = read_miner_config(file.data)
    return Content(config, file.sha256 if config else None, file.is_whole)


class ConfigSearch:
    """One scan for configuration files, first by the running processes, then by places."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.query = query
        self.names = process_names()
        self.contents = host.state("miner_configs", KnownFiles[Content])
        self.contents.start()
        self.found: dict[tuple[int, int], FoundConfig] = {}
        self.processes: dict[int, Process] = {}
        self._named: dict[tuple[Optional[str], str, str], Optional[FoundConfig]] = {}
        self.homes = _homes(host.accounts.all)

    def by_processes(self) -> None:
        """Look at what every process names, has beside its program, or has in its working folder."""
        procfs = self.host.truth
        files = ProcessFiles(procfs)
        own = self.host.own_processes()
        shared = {*self.names.program_folders, *self.names.writable_folders, *self.homes}
        folders_seen: dict[tuple[object, ...], list[FoundConfig]] = {}
        for pid in procfs.pids():
            self.query.check_time()
            process = procfs.process(pid)
            if process is None or process.is_kernel_thread or process.identity in own:
                continue
            folders = process_folders(procfs, pid)
            if folders is None:
                continue
            self.processes[pid] = process
            argv = arguments(procfs, pid, self.query).kept
            for path, (name, how) in folders.candidates(argv, self.query).items():
                if how == NAMED:
                    self._note(self._by_name(files, pid, name, (*folders.view, path)), pid, how)
            places = ((folders.program, BESIDE), (folders.working, WORKING))
            for folder, how in places:
                # Of a folder that everybody uses, no file belongs to one program.
                if folder is None or folder == "/" or folder in (shared if how == WORKING else self.names.program_folders):
                    continue
                key = (*folders.view, folder)
                if key not in folders_seen:
                    folders_seen[key] = self._in_folder(files, pid, folder)
                for found in folders_seen[key]:
                    self._note(found, pid, how)
            if (at_home := (*folders.view, "")) not in folders_seen:
                folders_seen[at_home] = []
                passwd = files.read(pid, "/etc/passwd", CONFIG_LIMIT) or b""
                for path in (f"{home}/{name}" for home in _homes(parse_passwd(passwd)) for name in HOME_CONFIGS):
                    self._by_process(files, pid, path, path, True)

    def _in_folder(self, files: ProcessFiles, pid: int, folder: str) -> list[FoundConfig]:
        names = [name for name in files.names(pid, folder) if name.endswith(_SUFFIXES)]
        if len(names) > _MAX_BESIDE:
            self.query.truncate(f"{folder} of process {pid}: {_MAX_BESIDE} of {len(names)} files were read")
            names.sort(key=lambda name: name != CONFIG)
        paths = [os.path.join(folder, name) for name in names[:_MAX_BESIDE]]
        return [
            found
            for path in paths
            if (found := self._by_process(files, pid, path, path, path.endswith(f"/{CONFIG}"))) is not None
        ]

    def _by_name(self, files: ProcessFiles, pid: int, name: str, key: tuple[Optional[str], str, str]) -> Optional[FoundConfig]:
        if key not in self._named:
            self._named[key] = self._by_process(files, pid, name, key[2], True)
        return self._named[key]

    def _by_process(self, files: ProcessFiles, pid: int, name: str, path: str, is_asked_for: bool) -> Optional[FoundConfig]:
        # What no miner looks for may be longer than a configuration, and is none then.
        if is_asked_for and is_out_of_reach(files, pid, path, self.query):
            return None
        fd = files.open(pid, name)
        return None if fd is None else self._file(path, fd, f"process {pid}: " if is_asked_for else None)

    def _file(self, path: str, fd: int, asked_by: Optional[str], limit: int = CONFIG_LIMIT) -> Optional[FoundConfig]:
        """What the file behind `fd`, which is closed, says; where `asked_by` is given, a cut is said with it."""
        try:
            status = os.fstat(fd)
            content = self.contents.get(status)
            if content is None:
                content = _content(read_settings(fd, limit))
                self.contents.put(status, content)
        except OSError:
            return None
        finally:
            os.close(fd)
        if asked_by is not None and not content.is_whole:
            self.query.truncate(f"{asked_by}{path}: only its beginning was read")
        return self._add(path, status, content)

    def _add(self, path: str, status: os.stat_result, content: Content) -> Optional[FoundConfig]:
        key = (status.st_dev, status.st_ino)
        if key not in self.found:
            if content.config is None:
                return None
            self.found[key] = FoundConfig(path, status, content)
        return self.found[key]

    def _note(self, found: Optional[FoundConfig], pid: int, how: str) -> None:
        if found is not None and len(found.users) >= _MAX_USERS and pid not in found.users:
            self.query.truncate(f"{found.path}: {_MAX_USERS} of the processes that use it are shown")
        elif found is not None:
            found.users[pid] = min(how, found.users.get(pid, how), key=_RANK.__getitem__)

    def by_places(self) -> str:
        """Look into the usual places; returns where the bound on their number was met, "" when it was not."""
        walk = Walk(self.host.files, MAX_ENTRIES, remote_here(self.host))
        homes = dict.fromkeys(self.homes, _HOME_DEPTH)
        for home in homes:
            for name in HOME_CONFIGS:
                self._read(f"{home}/{name}")
        for place in _PACKAGES_PLACES:
            for name in self._names_in(place):
                self._read(f"{place}/{name}/{CONFIG}")
        places = {**_PLACES, **homes}
        # Shallow ones first; nobody fills a folder so that the others' time is gone, or the table without an answer.
        for place, end in in_time(self.query, places, places.__getitem__):
            for found in walk.below(place, places[place], self._is_candidate):
                if time.monotonic() > end:
                    self.query.truncate(f"out of time in {place}, at {found.path}")
                    break
                if found.status.st_size >= 16:
                    self._read(found.path, found.status)
        return walk.cut

    def _names_in(self, place: str) -> list[str]:
        self.query.check_time()
        try:
            names = self.host.files.names(place)
        except Unreadable as error:
            self.query.could_not_see(str(error))
            return []
        if len(names) > _MAX_NAMES:
            self.query.truncate(f"{place}: a {CONFIG} was looked for below {_MAX_NAMES} of {len(names)} names")
        return names[:_MAX_NAMES]

    def _is_candidate(self, path: str) -> bool:
        if path.endswith(_SUFFIXES):
            return True
        is_free = is_below(path, self.names.writable_folders) or hidden_component(path)
        return bool(is_free) and not _OTHER_SUFFIXES.fullmatch(path)

    def _read(self, path: str, status: Optional[os.stat_result] = None) -> None:
        known = self.contents.get(status) if status is not None else None
        if known is not None and status is not None:
            self._add(path, status, known)
            return
        try:
            fd = self.host.files.open(path)
        except Unreadable:
            return
        is_config = path.endswith(_SUFFIXES)
        if not is_config and not _is_text(fd):
            os.close(fd)
            return
        self._file(path, fd, "" if os.path.basename(path) == CONFIG else None, CONFIG_LIMIT if is_config else _MAX_ODD_FILE)


def _is_text(fd: int) -> bool:
    try:
        return b"\0" not in os.pread(fd, _HEAD, 0)
    except OSError:
        return False


def _homes(accounts: Iterable[Account]) -> list[str]:
    """The home folders of people, and of services that keep data of their own."""
    homes = {account.home.rstrip("/") for account in accounts if "/../" not in account.home + "/"}
    # Daemons have system folders for homes, which are large and not theirs.
    found = sorted(home for home in homes if is_below(home + "/", ("/home", "/root", "/var/lib", "/srv", "/opt")))
    if len(found) > _MAX_HOMES:
        say_cut(f"only {_MAX_HOMES} of {len(found)} homes were looked into, those before {found[_MAX_HOMES]}")
    return found[:_MAX_HOMES]
