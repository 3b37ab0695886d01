"""Which processes are services that miners come in by: entry_services.yaml as questions with answers."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.host.processes.procfs import Process
from tables.indicators.loader import load_yaml
from tables.indicators.process_names import COMM_LENGTH, Names

# A command line longer than this says nothing more about what runs.
_MAX_CMDLINE = 16 * 1024


class EntryService(NamedTuple):
    """One entry; the head comment of entry_services.yaml says what each field means."""

    service: str
    programs: Names
    arguments: Optional[re.Pattern[str]]
    ports: frozenset[int]
    judge: Optional[str]
    open_by_default: bool
    guarded_by: Optional[re.Pattern[str]]
    guarded_by_variables: tuple[str, ...]
    opened_by: Optional[re.Pattern[str]]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> EntryService:
        """The entry as it stands in the file."""
        return cls(
            entry["service"],
            Names.of([{"names": entry["programs"], "patterns": entry.get("patterns")}]),
            re.compile(entry["arguments"]) if "arguments" in entry else None,
            frozenset(entry.get("ports", ())),
            entry.get("judge"),
            entry.get("open_by_default", False),
            re.compile(entry["guarded_by"]) if "guarded_by" in entry else None,
            tuple(entry.get("guarded_by_variables", ())),
            re.compile(entry["opened_by"]) if "opened_by" in entry else None,
        )

    def is_run_by(self, program: str, cmdline: str) -> bool:
        """Whether a program of this name with this command line is the service."""
        if not self.programs.match(program):
            return False
        return self.arguments is None or self.arguments.search(cmdline[:_MAX_CMDLINE]) is not None


class EntryServices:
    """The list of entry_services.yaml."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.entries = tuple(EntryService.of(entry) for entry in data["services"])

    def of_process(self, process: Process) -> Optional[EntryService]:
        """The service that the process is; None when it is none of the list."""
        program = posixpath.basename(process.exe_path or "")
        for entry in self.entries:
            if entry.is_run_by(program or process.name, process.cmdline):
                return entry
        # A name of its own (a title, or a script's) may stand where an interpreter or a loader is what runs.
        for entry in self.entries:
            if len(process.name) < COMM_LENGTH and process.name in entry.programs.exact and entry.arguments is None:
                return entry
        return None


@functools.lru_cache(maxsize=1)
def entry_services() -> EntryServices:
    """The built-in list, read when first asked for."""
    return EntryServices(load_yaml("entry_services.yaml"))
