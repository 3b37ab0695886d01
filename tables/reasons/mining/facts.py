"""Collects what processes show of mining: cheaply for all of them, by deeper reads for suspects only."""

from __future__ import annotations

import contextlib
import itertools
import posixpath
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.footprint import FileKey, file_key
from tables.host.processes.binary_strings import MAX_SEARCHED, BinaryCache, BinaryFacts, Needles
from tables.host.processes.executables import DELETED, living, running_file
from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.process_memory import parse_maps
from tables.host.processes.procfs import Process
from tables.indicators.pools import pool_indicators
from tables.indicators.process_names import is_below, process_names
from tables.reasons.mining.configs import read_miner_config
from tables.reasons.mining.named_configs import BESIDE, HOME, NAMED, WORKING, home_folder, process_folders, read_config
from tables.reasons.mining.process_strings import arguments, environment, variables
from tables.reasons.mining.references import config_paths
from tables.reasons.mining.signals import DATASET_BYTES, ConfigFile, Facts, MinerSignals, Verdict, miner_signals
from tables.unseen import Unseen

_MAPS_LIMIT = 4 << 20
_MAX_OPEN_FILES = 1024
# More arguments than programs are given as a rule: a weak sign of hiding some of them.
_MANY_ARGUMENTS = 8000
_REMEMBERED = 50_000
# Seconds of one call for reading configurations.
_CONFIG_SECONDS = 5.0
# Seconds of one call for looking through programs: of suspects, of those outside system folders, of all others.
_SUSPECTS_SECONDS = 3.0
_PLACED_SECONDS = 0.3
_SYSTEM_SECONDS = 0.08


class Suspect(NamedTuple):
    """A process that gives at least one signal, as it was at the second look."""

    process: Process
    facts: Facts
    verdict: Verdict


class _Config(NamedTuple):
    """What a file that may be a process's configuration is: a miner's, and how it hides what it is."""

    file: Optional[ConfigFile]
    evasion: Optional[str]


class _Quiet:
    """Hashes of names and arguments that gave no signal by the indicators in force."""

    def __init__(self) -> None:
        self.words: set[int] = set()
        self._indicators: object = None

    def of(self, indicators: object) -> _Quiet:
        """The memory itself, emptied when it is full or other indicators are in force now."""
        if indicators is not self._indicators or len(self.words) > _REMEMBERED:
            self.words.clear()
            self._indicators = indicators
        return self

    def add(self, words: int) -> None:
        """Remember one more."""
        self.words.add(words)


class Collector:
    """Looks at the processes of one host during one scan.

    `connections` are pool endpoints by pid, `gpus` what `busy_facts` says; `unseen` is told what was passed over.
    """

    def __init__(
        self, host: Host, connections: Mapping[int, Iterable[str]], unseen: Unseen, gpus: Optional[Mapping[int, str]] = None
    ) -> None:
        self.unseen = unseen
        self.procfs = host.truth
        self.connections = connections
        self.gpus = gpus or {}
        self.names = process_names()
        self.signals: MinerSignals = miner_signals(self.names)
        self.indicators = pool_indicators(host)
        needles = Needles(self.signals.binary_filter, self.signals.binary_marks)
        self.binaries = host.state("miner_processes: binaries", lambda: BinaryCache(needles))
        self.quiet = host.state("miner_processes: quiet", _Quiet).of(self.indicators)
        self.files = ProcessFiles(self.procfs)
        self.own_namespace = self.procfs.try_readlink("self/ns/mnt")
        self.unsearched: set[FileKey] = set()
        self._configs: dict[tuple[object, ...], _Config] = {}
        self._config_seconds = _CONFIG_SECONDS

    def first_look(self, process: Process) -> Optional[Facts]:
        """What a process shows at little cost; None for a kernel thread, a zombie, and what has no program."""
        subject = None if process.is_kernel_thread else living(process)
        if subject is None or not subject.stat.vsize:
            return None
        strings = arguments(self.procfs, subject.pid, self.unseen)
        argv = strings.kept
        link = subject.exe_link
        if not argv and link is None:
            return None
        is_marked = link is not None and link.endswith(DELETED)
        exe = link[: -len(DELETED)] if link and is_marked else link
        is_memfd = is_marked and link is not None and link.startswith("/memfd:")
        environ = self._environ(subject)
        configs = self._config_files(subject, argv, exe)
        return Facts(
            comm=process.name,
            argv=argv,
            exe=exe,
            threads=subject.stat.num_threads,
            is_memfd=is_memfd,
            is_deleted=is_marked and not is_memfd,
            environ=environ,
            configs=[found.file for found in configs if found.file is not None],
            evasions=tuple(found.evasion for found in configs if found.evasion),
            many_arguments=strings.total if strings.total > _MANY_ARGUMENTS else 0,
            memory=parse_maps(self._maps(subject), DATASET_BYTES),
            connections=tuple(self.connections.get(process.pid, ())),
            gpu=self.gpus.get(process.pid),
        )

    def is_suspicious(self, facts: Facts) -> bool:
        """Whether `facts` give any signal that is a reason for a row; names and arguments once found quiet are remembered."""
        if (
            facts.environ
            or facts.configs
            or facts.evasions
            or facts.connections
            or facts.gpu
            or (facts.memory and (facts.memory.mappings or facts.memory.huge))
        ):
            return self._is_reason(self.signals.judge(facts, self.indicators))
        words = hash((facts.comm, facts.exe, facts.is_deleted, facts.is_memfd, tuple(facts.argv)))
        if words in self.quiet.words:
            return False
        if self._is_reason(self.signals.judge(facts, self.indicators)):
            return True
        self.quiet.add(words)
        return False

    def _is_reason(self, verdict: Verdict) -> bool:
        return any(not self.signals.is_context(name) for name in verdict.signals)

    def is_system_program(self, facts: Facts) -> bool:
        """Whether the program lies where packages put theirs."""
        return facts.exe is not None and is_below(facts.exe, self.signals.system_folders) is not None

    def search_programs(self, looks: Mapping[int, Facts], suspects: Iterable[int]) -> set[int]:
        """The pids whose program is a miner's by its strings, packed outside system folders, or covered by a mount.

        Each file is read once as long as it does not change, those of `suspects` first; what this call has no time for
        is in `unsearched`, and the next call goes on with it.
        """
        suspects = set(suspects)
        users: dict[FileKey, list[int]] = {}
        found: set[int] = set()
        for pid, facts in looks.items():
            with contextlib.suppress(OSError):
                key = file_key(self.procfs.stat(f"{pid}/exe"))
                users.setdefault(key, []).append(pid)
                if not self.is_system_program(facts) and self.files.cover(pid, facts.exe or "", key[0]):
                    found.add(pid)
        started = time.monotonic()
        waiting: dict[FileKey, float] = {}
        for key, pids in users.items():
            if not suspects.isdisjoint(pids):
                waiting[key] = _SUSPECTS_SECONDS
            else:
                placed = not all(self.is_system_program(looks[pid]) for pid in pids)
                waiting[key] = _PLACED_SECONDS if placed else _SYSTEM_SECONDS
        for key, seconds in sorted(waiting.items(), key=lambda item: -item[1]):
            binary = self._binary(users[key][0], key, looks, started + seconds)
            if binary is None:
                continue
            is_placed = seconds != _SYSTEM_SECONDS
            if len(binary.marks) > 1 or (binary.packer and is_placed):
                found.update(users[key])
        return found

    def _binary(self, pid: int, key: FileKey, looks: Mapping[int, Facts], deadline: float) -> Optional[BinaryFacts]:
        known = self.binaries.known(key)
        if known is not None:
            if known.is_cut:
                self.unseen.truncate(
                    f"{looks[pid].exe} of process {pid}: only its first {MAX_SEARCHED >> 30} GiB and its end were searched"
                )
            return known
        if time.monotonic() > deadline:
            self.unsearched.add(key)
            return None
        exe = looks[pid].exe or ""
        # By the device of the file itself: what is mounted over its folder is not what runs.
        if not exe.startswith("/memfd:") and self.files.is_remote_device(pid, key[0]):
            self.unseen.could_not_see(
                f"{exe} of process {pid} was not searched: {self.files.left_alone(pid, exe)} may never answer"
            )
            return None
        facts = self.binaries.examine(self.procfs, pid, key, deadline)
        if facts is None and time.monotonic() > deadline:
            self.unsearched.add(key)
        return facts

    def second_look(self, process: Process) -> Optional[Suspect]:
        """Look at a suspect again, whole; None when it is none, has ended, or became another program meanwhile."""
        facts = self.first_look(process)
        subject = living(process)
        if facts is None or subject is None:
            return None
        try:
            file = running_file(subject, self.own_namespace, self.files)
            key = file_key(file.status) if file.status else None
        except OSError:
            file, key = None, None
        binary = self.binaries.known(key) if key else None
        if file is not None:
            facts = replace(facts, exe=file.path, is_memfd=file.is_memfd, is_deleted=file.is_deleted and file.on_disk is None)
        facts = replace(facts, open_files=self._open_files(subject))
        if file is not None and file.cover:
            facts = replace(facts, evasions=(*facts.evasions, f"{file.cover} covers the program that it runs"))
        if binary is not None:
            facts = replace(facts, marks=binary.marks, packer=binary.packer)
        verdict = self.signals.judge(facts, self.indicators)
        now = self.procfs.process(process.pid)
        if not self._is_reason(verdict) or now is None or now.identity != process.identity:
            return None
        is_same = now.exe_link == process.exe_link and now.argv == process.argv
        return Suspect(subject, facts, verdict) if is_same or subject is not process else None

    def _environ(self, process: Process) -> dict[str, str]:
        return variables(environment(self.procfs, process.pid, self.unseen) or b"")

    def _maps(self, process: Process) -> bytes:
        if process.stat.vsize < DATASET_BYTES:
            return b""
        data = self.procfs.try_read(f"{process.pid}/maps", _MAPS_LIMIT) or b""
        if len(data) == _MAPS_LIMIT:
            self.unseen.truncate(f"process {process.pid}: only the first {_MAPS_LIMIT >> 20} MiB of its mappings were looked at")
        return data

    def _open_files(self, process: Process) -> tuple[str, ...]:
        if len(self.procfs.descriptors(process.pid)) > _MAX_OPEN_FILES:
            self.unseen.truncate(f"process {process.pid}: only {_MAX_OPEN_FILES} of its open files were looked at")
        targets = (target for _, target in itertools.islice(self.procfs.open_files(process.pid), _MAX_OPEN_FILES))
        return tuple(sorted({target for target in targets if target.startswith("/")}))

    def _config_files(self, process: Process, argv: list[str], exe: Optional[str]) -> list[_Config]:
        """The miner configurations that a process is given, or that lie where xmrig looks: beside it, and in its home."""
        is_placed = exe is not None and is_below(exe, self.signals.system_folders) is None
        folders = process_folders(self.procfs, process.pid) if is_placed or any(config_paths(argv)) else None
        if folders is None:
            return []
        # What lies beside a system program, or where an interpreter works (a project's folder, perhaps a miner's sources), is
        # not its own.
        wanted = {NAMED}
        if exe is not None and is_placed:
            wanted |= {HOME} if exe.startswith("/memfd:") else {HOME, BESIDE}
            if not self.names.interpreters.match(posixpath.basename(exe)):
                wanted.add(WORKING)
        found = []
        home = home_folder(self.procfs, process.pid, self.unseen) if HOME in wanted else None
        for full, (path, how) in folders.candidates(argv, self.unseen, home).items():
            if how not in wanted:
                continue
            if (key := (*folders.view, full)) not in self._configs:
                self._configs[key] = self._read_config(process.pid, path, full)
            found.append(self._configs[key])
        return found

    def _read_config(self, pid: int, path: str, full: str) -> _Config:
        if self._config_seconds <= 0:
            self.unseen.truncate(f"process {pid}: {full} was not read, after {_CONFIG_SECONDS:g} s of reading configurations")
            return _Config(None, None)
        started = time.monotonic()
        read = read_config(self.files, pid, path, full, self.unseen)
        content = read_miner_config(read.data) if read else None
        self._config_seconds -= time.monotonic() - started
        file = ConfigFile(full, content) if content is not None else None
        is_evasion = read is not None and read.is_hiding and (content is not None or not read.is_whole)
        return _Config(
            file, f"{full}: 99 % of its {read.bytes_read} bytes are blanks and comments" if read and is_evasion else None
        )
