"""The search for miners' configuration files: what running processes name or have beside them, and the usual places."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.accounts.databases import Account, parse_passwd
from tables.host.disk.files import FileKey, Unreadable, file_key, read_fd
from tables.host.disk.shallow_walk import Walk
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Process
from tables.indicators.process_names import hidden_component, is_below, process_names
from tables.reasons.mining.configs import MinerConfig, read_miner_config
from tables.reasons.mining.named_configs import BESIDE, CONFIG_LIMIT, HOME_CONFIGS, NAMED, WORKING, process_folders
from tables.schema import QueryContext

# Below which a file under any name is read in places where anybody may write.
_MAX_ODD_FILE = 64 * 1024
MAX_ENTRIES = 5_000
_MAX_BESIDE = 256
_MAX_USERS = 16
_MAX_HOMES = 50
# Folders below each place that are looked into.
_PLACES = {"/tmp": 3, "/var/tmp": 3, "/dev/shm": 3, "/etc": 2, "/root": 2, "/opt": 2}  # noqa: S108 - read, never written
_HOME_DEPTH = 2
_SUFFIXES = (".json", ".conf", ".cfg", ".ini", ".txt", ".env", ".bat", ".cmd", ".sh")
_OTHER_SUFFIXES = re.compile(r".*(?:history|\.(?:log|md|rst|html?|py|pyc|yar|yara|rules|so|gz|xz|zip|png|jpg|pid|sock|lock|db))")
_RANK = {NAMED: 0, BESIDE: 1, WORKING: 2}


class Content(NamedTuple):
    """What one file holds; `sha256` is None when it was not read whole."""

    config: Optional[MinerConfig]
    sha256: Optional[str]


@dataclass
class FoundConfig:
    """A miner's configuration file, and the processes that come to it with how they do."""

    path: str
    status: os.stat_result
    content: Content
    users: dict[int, str] = field(default_factory=dict)


class Contents:
    """What was read in the last two scans, so that a file that did not change is not read again."""

    def __init__(self) -> None:
        self._known: dict[FileKey, Content] = {}
        self._earlier: dict[FileKey, Content] = {}

    def start(self) -> None:
        """Begin a scan: forget what the one before did not ask for."""
        self._earlier, self._known = self._known, {}

    def get(self, status: os.stat_result) -> Optional[Content]:
        """What is known of the file with this status."""
        key = file_key(status)
        found = self._known.get(key) or self._earlier.get(key)
        if found is not None:
            self._known[key] = found
        return found

    def put(self, status: os.stat_result, data: bytes) -> Content:
        """Read `data`, which is all of the file or as much as we read of any."""
        is_whole = len(data) < CONFIG_LIMIT
        config = read_miner_config(data)
        found = Content(config, hashlib.sha256(data).hexdigest() if config and is_whole else None)
        self._known[file_key(status)] = found
        return found


class ConfigSearch:
    """One scan for configuration files, first by the running processes, then by places."""

    def __init__(self, host: Host, query: QueryContext) -> None:
        self.host = host
        self.query = query
        self.names = process_names()
        self.contents = host.state("miner_configs", Contents)
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
            for path, (name, how) in folders.candidates(process.argv).items():
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
                    self._by_process(files, pid, path, path)

    def _in_folder(self, files: ProcessFiles, pid: int, folder: str) -> list[FoundConfig]:
        names = [name for name in files.names(pid, folder) if name.endswith(_SUFFIXES)][:_MAX_BESIDE]
        paths = [os.path.join(folder, name) for name in names]
        return [found for path in paths if (found := self._by_process(files, pid, path, path)) is not None]

    def _by_name(self, files: ProcessFiles, pid: int, name: str, key: tuple[Optional[str], str, str]) -> Optional[FoundConfig]:
        if key not in self._named:
            self._named[key] = self._by_process(files, pid, name, key[2])
        return self._named[key]

    def _by_process(self, files: ProcessFiles, pid: int, name: str, path: str) -> Optional[FoundConfig]:
        read = files.read_with_status(pid, name, CONFIG_LIMIT)
        return self._file(path, read[1], read[0]) if read else None

    def _file(self, path: str, status: os.stat_result, data: bytes) -> Optional[FoundConfig]:
        key = (status.st_dev, status.st_ino)
        if key not in self.found:
            content = self.contents.get(status) or self.contents.put(status, data)
            if content.config is None:
                return None
            self.found[key] = FoundConfig(path, status, content)
        return self.found[key]

    def _note(self, found: Optional[FoundConfig], pid: int, how: str) -> None:
        if found is not None and len(found.users) < _MAX_USERS:
            found.users[pid] = min(how, found.users.get(pid, how), key=_RANK.__getitem__)

    def by_places(self) -> str:
        """Look into the usual places; returns where the bound on their number was met, "" when it was not."""
        remote = ProcessFiles(self.host.procfs).is_remote if self.host.is_live else None
        walk = Walk(self.host.files, MAX_ENTRIES, lambda path: remote is not None and remote(os.getpid(), path))
        homes = dict.fromkeys(self.homes, _HOME_DEPTH)
        for home in homes:
            for name in HOME_CONFIGS:
                self._read(f"{home}/{name}")
        for place, depth in {**_PLACES, **homes}.items():
            for found in walk.below(place, depth, self._is_candidate):
                self.query.check_time()
                is_config = found.path.endswith(_SUFFIXES)
                if 16 <= found.status.st_size <= (CONFIG_LIMIT if is_config else _MAX_ODD_FILE):
                    self._read(found.path, found.status)
        return walk.cut

    def _is_candidate(self, path: str) -> bool:
        if path.endswith(_SUFFIXES):
            return True
        is_free = is_below(path, self.names.writable_folders) or hidden_component(path)
        return bool(is_free) and not _OTHER_SUFFIXES.fullmatch(path)

    def _read(self, path: str, status: Optional[os.stat_result] = None) -> None:
        known = self.contents.get(status) if status is not None else None
        if known is not None and status is not None:
            self._file(path, status, b"")
            return
        try:
            fd = self.host.files.open(path)
        except Unreadable:
            return
        try:
            self._file(path, os.fstat(fd), read_fd(fd, CONFIG_LIMIT))
        except OSError:
            return
        finally:
            os.close(fd)


def _homes(accounts: Iterable[Account]) -> list[str]:
    """The home folders of people, and of services that keep data of their own."""
    homes = {account.home.rstrip("/") for account in accounts if "/../" not in account.home + "/"}
    # Daemons have system folders for homes, which are large and not theirs.
    return sorted(home for home in homes if is_below(home + "/", ("/home", "/root", "/var/lib", "/srv", "/opt")))[:_MAX_HOMES]
