"""Whether a process is the program that it says it is: argv[0] and comm against what is installed and what runs."""

from __future__ import annotations

import os
from typing import Optional

from tables.host.processes.executables import RunningFile
from tables.host.processes.procfs import Process
from tables.host.processes.roots import Located, View, same_file
from tables.indicators.process_names import COMM_LENGTH, ProcessNames, Title, claimed_program, is_below
from tables.text.programs import resolve

_MAX_PATH_FOLDERS = 32
# Of a command line that may be a title.
_MAX_TITLE = 512


class ProgramClaims:
    """Judges what processes call themselves; looks up each claimed name once per root folder."""

    def __init__(self, names: ProcessNames) -> None:
        self.names = names
        self._installed: dict[tuple[tuple[str, str], str], Optional[list[Located]]] = {}

    def false_claim(self, process: Process, file: RunningFile) -> Optional[str]:
        """Say in words which program `process` falsely claims to be; None when it claims nothing or rightly so.

        A listed title can be borne by its programs only. Of all other names only those of a program in machine code that is
        installed where the process sees it can be claimed falsely, or an absolute path in a program folder at which there is
        nothing: wrappers, titles and names of one's own are everyday.
        """
        program = file.name()
        found = self._false_title(process, file)
        if found is not None:
            return f"{found}; the running file is {file.path}"
        claim = claimed_program(process.argv[0] if process.argv else "", program, self.names.shells)
        if claim and claim != file.own_path:
            found = self._false(claim, file)
            if found is not None:
                return f"argv[0] claims {claim}, {found}; the running file is {file.path}"
        comm = process.name
        # A comm cut to 15 bytes names nothing for certain, and a script's is its own.
        if len(comm) < COMM_LENGTH and "/" not in comm and comm != claim and not self.names.interpreters.match(program):
            if claimed_program(comm, program, self.names.shells) != comm:
                return None
            found = self._false(comm, file)
            if found is not None:
                return f"comm claims {comm}, {found}; the running file is {file.path}"
        return None

    def _false_title(self, process: Process, file: RunningFile) -> Optional[str]:
        """Which title of others, or of a login shell, the process bears; None when it bears none or may."""
        argv0 = process.argv[0] if process.argv else ""
        claim = claimed_program(argv0, file.name(), self.names.shells) or ""
        candidates = (
            ("argv[0]", process.cmdline[:_MAX_TITLE], argv0.partition(":")[0]),
            ("argv[0]", claim.rpartition("/")[2], claim),
            ("comm", process.name, process.name),
        )
        for what, text, claimed in candidates:
            title = self.names.title(text)
            if title is not None and not self._may_bear(title, claimed, process, file):
                return f"{what} `{text}` is a title of {min(title.programs)} and the like"
        # A login shell is titled so by who starts it; its file and its comm are not.
        for what, text in (("the file's name", file.name()), ("comm", process.name)):
            if text.startswith("-") and text[1:] in self.names.shells:
                return f"{what} `{text}` is the title of a login shell"
        return None

    def _may_bear(self, title: Title, claimed: str, process: Process, file: RunningFile) -> bool:
        program = file.name()
        if file.view is None or self.names.packaged_hidden.match(file.path):
            return True
        if any(program[:COMM_LENGTH] == name or self.names.is_variant(name, program) for name in title.programs):
            return True
        if title.may_be_script and self._runs_script(claimed.rpartition("/")[2], process, program):
            return True
        # A link to the program, or a script that stands in for it.
        found = self._find(file.view, claimed)
        if found is None or any(same_file(f.status, file.status) or f.by_alternatives or not f.is_elf for f in found):
            return True
        return "/" not in claimed and self._is_on_own_path(claimed, file)

    def _runs_script(self, name: str, process: Process, program: str) -> bool:
        """Whether an interpreter runs a script of that name, which lends it to the interpreter's comm."""
        started = resolve(process.argv) if self.names.interpreters.match(program) else None
        return started is not None and (started.script or "").rpartition("/")[2][:COMM_LENGTH] == name[:COMM_LENGTH]

    def _false(self, claim: str, file: RunningFile) -> Optional[str]:
        """What is at `claim` instead of the running file; None when the claim is not false."""
        name = claim.rpartition("/")[2]
        if file.view is None or self.names.is_variant(name, file.name()) or self._is_own_copy(name, file):
            return None
        found = self._find(file.view, claim)
        if found is None:
            return None
        if not found:
            in_program_folder = claim.rpartition("/")[0] in self.names.program_folders
            return "which does not exist" if in_program_folder and not file.is_deleted and not file.is_memfd else None
        if any(f.path == file.own_path or same_file(f.status, file.status) or f.by_alternatives or not f.is_elf for f in found):
            return None
        if "/" not in claim and self._is_on_own_path(claim, file):
            return None
        return f"the program {found[0].path}"

    def _is_own_copy(self, name: str, file: RunningFile) -> bool:
        """Whether it is a container runtime's copy of itself in memory; the seals on that are judged elsewhere."""
        memory = file.path[len("/memfd:") :] if file.is_memfd else ""
        return any(name in runtime.parents and runtime.what.match(memory) for runtime in self.names.memfd_runtimes)

    def _find(self, view: View, claim: str) -> Optional[list[Located]]:
        """The files that `claim` names; None when that cannot be told."""
        key = (view.key, claim)
        if key not in self._installed:
            paths = [claim] if "/" in claim else [f"{folder}/{claim}" for folder in self.names.program_folders]
            try:
                self._installed[key] = [found for path in paths if (found := view.locate(path)) is not None]
            except OSError:
                self._installed[key] = None
        return self._installed[key]

    def _is_on_own_path(self, claim: str, file: RunningFile) -> bool:
        """Whether the process's PATH leads from a bare name to the running file, as with a user's own `vim` link to nvim."""
        environment = file.process.procfs.environ(file.process.pid) or b""
        variable = next((entry for entry in environment.split(b"\0") if entry.startswith(b"PATH=")), b"PATH=")
        for folder in os.fsdecode(variable[5:]).split(":")[:_MAX_PATH_FOLDERS]:
            if not folder.startswith("/") or is_below(folder + "/", self.names.writable_folders) or file.view is None:
                continue
            try:
                found = file.view.locate(f"{folder}/{claim}")
            except OSError:
                continue
            if found is not None and same_file(found.status, file.status):
                return True
        return False
