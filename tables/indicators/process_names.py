"""What processes call themselves and where programs run from: process_names.yaml as questions with answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml

# TASK_COMM_LEN of include/linux/sched.h, without the closing NUL.
COMM_LENGTH = 15

# `[kworker/0:1]`; a title such as `[splunkd pid=1]` or `[lxc monitor] /var/lib/lxc web` says too much to be a thread's.
_BRACKETED = re.compile(r"\[[^\s=\[\]]+\]")
# What may follow a program's name in the name of a variant of it: python3, nodejs, vim.basic, sshd-session, crond.
_VARIANT = re.compile(r"[0-9._-].*|js|d|bin")
_VARIANT_STEM = 3
_ODD = re.compile(r"/[.\s]|\s(?:/|$)|[\x00-\x1f\x7f]")
_HOME = re.compile(r"^(?:/root|/home/[^/]+)(?=/)")


class Names(NamedTuple):
    """One list of names: exact ones, and one regular expression for the rest."""

    exact: frozenset[str]
    pattern: Optional[re.Pattern[str]]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Names:
        """The names and patterns of all `entries` together."""
        entries = list(entries)
        patterns = [f"(?:{pattern})" for entry in entries for pattern in entry.get("patterns") or ()]
        exact = frozenset(name for entry in entries for name in entry.get("names") or ())
        return cls(exact, re.compile("|".join(patterns), re.DOTALL) if patterns else None)

    def match(self, name: str) -> bool:
        """Whether the whole of `name` is in the list."""
        return name in self.exact or (self.pattern is not None and self.pattern.fullmatch(name) is not None)


class Started(NamedTuple):
    """Names of things, and the programs that must be among the ancestors for the names to count."""

    what: Names
    parents: frozenset[str]


class Title(NamedTuple):
    """What only certain programs go by: their file names (also cut to a comm), whole titles, and the programs that may."""

    names: frozenset[str]
    whole: Names
    programs: frozenset[str]
    may_be_script: bool

    def match(self, text: str) -> bool:
        """Whether `text`, a file name, a comm or a whole title, is one of these."""
        return text in self.names or self.whole.match(text)


class Mounted(NamedTuple):
    """Mount points that explain an odd path: `file_system` is how the mount's type must begin ("" for any)."""

    where: Names
    file_system: str
    exception: str


class ProcessNames:
    """The lists of process_names.yaml."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.kernel_threads = Names.of(data["kernel_threads"])
        self._cut_kernel_threads = frozenset(name[:COMM_LENGTH] for name in self.kernel_threads.exact)
        self.interpreters = Names.of(data["interpreters"])
        self.launchers = Names.of(data["launchers"])
        self.multi_call = Names.of(data["multi_call"])
        self.packaged_hidden = Names.of(data["packaged_hidden"])
        self.memfd_runtimes = tuple(Started(Names.of([entry]), frozenset(entry["parents"])) for entry in data["memfd_runtimes"])
        self.build_folders = tuple(Started(Names.of([entry]), frozenset(entry["parents"])) for entry in data["build_folders"])
        self.mounted_programs = tuple(
            Mounted(Names.of([entry]), entry.get("file_system", ""), entry["exception"]) for entry in data["mounted_programs"]
        )
        self.titles = tuple(map(_title, data["titles"]))
        cut = Names(frozenset().union(*(title.names for title in self.titles)), None)
        self._any_title = cut._replace(pattern=Names.of({"patterns": entry.get("patterns")} for entry in data["titles"]).pattern)
        self.families = tuple(frozenset(entry["names"]) for entry in data["families"])
        self.shells = frozenset().union(*(entry["names"] for entry in data["families"] if entry["role"] == "shell"))
        self.tool_folders = _folders(data["tool_folders"])
        self.open_folders = _folders(data["open_folders"])
        self.data_folders = Names.of(entry for entry in data["data_folders"] if entry["kind"] == "data")
        self._served_folders = Names.of(entry for entry in data["data_folders"] if entry["kind"] == "served")
        self._vendored = frozenset(_folders(data["vendored_folders"]))
        self.project_folders = _folders(data["project_folders"])
        tools = (*self.tool_folders, *self.open_folders, *self.project_folders)
        self.tool_folders_pattern = "|".join(map(re.escape, tools))
        self.writable_folders = _folders(data["writable_folders"])
        # As alternatives of a regular expression, in Python's, C++'s and RE2's.
        self.writable_folders_pattern = "|".join(map(re.escape, self.writable_folders))
        self.program_folders = _folders(data["program_folders"])
        self.package_folders = _folders(data["package_folders"])
        self.packaged_places = _folders(data["packaged_places"])
        self.data_places = _folders(data["data_places"])
        self.installed_places = Names.of(data["installed_places"])

    def claims_kernel_thread(self, name: str) -> bool:
        """Whether `name` (a comm or an argv[0]) is a kernel thread's, or one token in square brackets as ps prints those."""
        name = name.strip()
        if _BRACKETED.fullmatch(name):
            return True
        # A comm ends after 15 bytes, and with it the closing bracket or the rest of the name.
        cut = len(name) == COMM_LENGTH
        bare = name[1:] if cut and name.startswith("[") else name.strip("[]")
        return self.kernel_threads.match(bare) or (cut and bare in self._cut_kernel_threads)

    def title(self, text: str) -> Optional[Title]:
        """Whose title `text` (a file name, a comm, or argv[0] with what follows it) is; None when anybody may bear it."""
        # Nearly every text is nobody's title.
        return next((title for title in self.titles if title.match(text)), None) if self._any_title.match(text) else None

    def is_variant(self, claimed: str, program: str) -> bool:
        """Whether a program may rightly call itself `claimed`: the same name, a variant of it, a stand-in, or one of many roles.

        Both are names without folder; `program` is the running file's.
        """
        if self.multi_call.match(program) or self.launchers.match(program):
            return True
        # Debian's cron titles its children CRON.
        one, other = sorted((claimed.casefold(), program.casefold()), key=len)
        if one == other or (len(one) >= _VARIANT_STEM and other.startswith(one) and _VARIANT.fullmatch(other[len(one) :])):
            return True
        return any(claimed in family and program in family for family in self.families)

    def is_tool_path(self, path: str, homes: Iterable[str]) -> bool:
        """Whether every hidden part of `path` is a known tool's: a tool folder directly below a home, a project folder."""
        if self.packaged_hidden.match(path):
            return True
        rest = path
        for home in (*homes, *_HOME.findall(path)):
            tool = (
                is_below(path[len(home) + 1 :], (*self.tool_folders, *self.open_folders)) if path.startswith(home + "/") else None
            )
            if tool is not None:
                rest = path[len(home) + 1 + len(tool) :]
                break
        for folder in self.project_folders:
            rest = rest.replace(f"/{folder}/", "/")
        return hidden_component(rest) is None

    def is_served(self, path: str) -> bool:
        """Whether `path` lies in what a web server hands out, outside of folders for the programs that a site brings."""
        return self._served_folders.match(path) and self._vendored.isdisjoint(path.split("/"))

    def is_open_path(self, path: str, homes: Iterable[str]) -> bool:
        """Whether `path`, one that `is_tool_path` excuses, lies where anything is put by hand and in no known tool's folder."""
        for home in (*homes, *_HOME.findall(path)):
            rest = path[len(home) + 1 :] if path.startswith(home + "/") else ""
            if rest and is_below(rest, self.open_folders) is not None and is_below(rest, self.tool_folders) is None:
                return True
        return False

    def is_out_of_place(self, path: str, is_machine_code: bool) -> bool:
        """Whether a program that no package owns is odd at `path`, links resolved: only packages put such there."""
        where = self.packaged_places + self.data_places if is_machine_code else self.packaged_places
        if is_below(path, where) is None or any(map(self.installed_places.match, enclosing(path)[1:])):
            return False
        return hidden_component(path) is None or not self.is_tool_path(path, ())


def _title(entry: Mapping[str, Any]) -> Title:
    names = entry.get("names") or ()
    cut = {name[:COMM_LENGTH] for name in names}
    programs = frozenset((*names, *entry["programs"]))
    return Title(frozenset(names) | cut, Names.of([{"patterns": entry.get("patterns")}]), programs, entry["may_be_script"])


def _folders(entries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for entry in entries for name in entry["names"])


def claimed_program(title: str, program: str, shells: frozenset[str]) -> Optional[str]:
    """The program that `title` (an argv[0]) says it is: an absolute path or a bare name; None when it says none.

    `sshd: root@pts/0` claims sshd, `-bash` is a login shell where `program`, the running file's name, is a shell and
    claims bash where it is none. Relative paths and links of procfs claim nothing.
    """
    words = title.split(None, 1)
    if not words:
        return None
    claimed = words[0].rstrip(":")
    if claimed.startswith("-"):
        if program in shells:
            return None
        claimed = claimed[1:]
    if claimed.startswith("/"):
        return None if claimed.startswith(("/proc/", "/dev/")) or claimed.endswith("/") else claimed
    return claimed if claimed and "/" not in claimed and claimed not in (".", "..") else None


def is_below(path: str, folders: Iterable[str]) -> Optional[str]:
    """The first of `folders` that `path` lies in, at any depth."""
    return next((folder for folder in folders if path.startswith(folder + "/")), None)


def enclosing(path: str) -> list[str]:
    """`path` and every folder that it lies in, the innermost first; without the root folder."""
    found = []
    while path:
        found.append(path)
        path = path.rpartition("/")[0]
    return found


def hidden_component(path: str) -> Optional[str]:
    """The first part of `path` that a listing leaves out (a leading dot) or does not show whole (blanks, control characters)."""
    if not _ODD.search(path):
        return None
    return next((part for part in path.split("/") if _ODD.search(f"/{part}/")), None)


@functools.lru_cache(maxsize=1)
def process_names() -> ProcessNames:
    """The built-in lists, read when first asked for."""
    return ProcessNames(load_yaml("process_names.yaml"))
