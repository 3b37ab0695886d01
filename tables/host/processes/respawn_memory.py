"""Remembers programs from look to look, so that one which ended and is back under another pid is known again."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple, Optional

MAX_PROGRAMS = 4096
# A pool of workers is one program; more of them than this tell nothing new.
_MAX_MEMBERS = 64
_MAX_STARTS = 16
_MAX_STARTERS = 8
_MAX_NAMES = 8
_MAX_FAMILY = 512

_TOKEN = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(r"[0-9]+|[A-Z]?[a-z]+|[A-Z]+")
_DIGITS = re.compile(r"[0-9]+")
_HEX = re.compile(r"(?=[0-9A-Fa-f]*[0-9])[0-9A-Fa-f]{6,}")
_UNSPEAKABLE = re.compile(r"[b-df-hj-np-tv-z]{5}")
_RANDOM_LENGTH = 6
_RANDOM_RUNS = 4
_LETTERS_LENGTH = 8

Identity = tuple[int, int]


def _is_random(token: str) -> bool:
    """Whether a name's part is one that nobody chose: hexadecimal, or runs of letters and digits too short for words."""
    if len(token) < _RANDOM_LENGTH:
        return False
    if _HEX.fullmatch(token) and not token.isdecimal():
        return True
    runs = _RUN.findall(token)
    if len(runs) >= _RANDOM_RUNS and len(token) <= 2 * len(runs):
        return True
    return len(token) >= _LETTERS_LENGTH and token.isalpha() and token.islower() and bool(_UNSPEAKABLE.search(token))


def family(text: str) -> str:
    """`text` (a path or a command line) with random parts as `*` and other numbers as `#`, at most 512 characters.

    `/tmp/.ab12cd34` and `/tmp/.ef56gh78` are one family; so are `worker-7` and `worker-12`.
    """
    return _TOKEN.sub(lambda found: "*" if _is_random(found[0]) else _DIGITS.sub("#", found[0]), text[:_MAX_FAMILY])


class Sighting(NamedTuple):
    """One living process as a look saw it; `starter` is its parent at that time, `starter_family` the parent's program.

    `places` says what is odd about where its file is.
    """

    identity: Identity
    family: str
    exe_path: str
    process_name: str
    cmdline: str
    start_time: int
    owner_uid: Optional[int] = None
    cgroup_path: Optional[str] = None
    starter: Optional[Identity] = None
    starter_name: Optional[str] = None
    starter_family: Optional[str] = None
    starter_runs_same_file: bool = False
    places: tuple[str, ...] = ()


@dataclass
class Program:
    """What is remembered of one family: `last` is its newest incarnation, `previous` the one which that replaced."""

    family: str
    first_seen: int
    last: Sighting
    previous: Optional[Sighting] = None
    respawns: int = 0
    living: dict[Identity, Sighting] = field(default_factory=dict)
    ended: Optional[Sighting] = None
    ended_count: int = 0
    died_out: bool = False
    starts: deque[int] = field(default_factory=lambda: deque(maxlen=_MAX_STARTS))
    starters: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_STARTERS))
    file_names: set[str] = field(default_factory=set)
    revivers: set[str] = field(default_factory=set)
    is_pool: bool = True

    @property
    def interval_seconds(self) -> Optional[int]:
        """Median time between the starts that were seen."""
        ordered = sorted(self.starts)
        gaps = [later - earlier for earlier, later in zip(ordered, ordered[1:])]
        return int(median(gaps)) if gaps else None

    @property
    def changes_name(self) -> bool:
        """Whether its file had different names, each random as a whole: what a hash is appended to is built anew."""
        name = self.family.partition("\0")[0].rpartition("/")[2]
        return len(self.file_names) > 1 and name.lstrip("._-") == "*"

    def _end(self, alive: frozenset[Identity]) -> None:
        for identity in [identity for identity in self.living if identity not in alive]:
            gone = self.living.pop(identity)
            self.ended_count += 1
            if self.ended is None or gone.identity[1] >= self.ended.identity[1]:
                self.ended = gone
        self.died_out = self.ended_count > 0 and not self.living

    def _start(self, seen: Sighting, seen_before: frozenset[Identity]) -> None:
        if self.ended is not None and self.ended_count > 0 and seen.identity[1] >= self.ended.identity[1]:
            self.respawns += 1
            self.ended_count -= 1
            self.previous = self.ended
            # A shell loop that makes itself again from inside is still there; only one that died out was revived.
            if self.died_out and seen.starter in seen_before and seen.starter_family and len(self.revivers) < _MAX_NAMES:
                self.revivers.add(seen.starter_family)
        if len(self.living) < _MAX_MEMBERS:
            self.living[seen.identity] = seen
        if seen.identity[1] >= self.last.identity[1]:
            self.last = seen
        self.starts.append(seen.start_time)
        if seen.starter is not None:
            self.starters.append(f"{seen.starter_name or '?'}({seen.starter[0]})")
        if len(self.file_names) < _MAX_NAMES:
            self.file_names.add(_DIGITS.sub("#", seen.exe_path.rpartition("/")[2]))
        self.is_pool &= seen.starter_runs_same_file


class RespawnMemory:
    """The programs seen so far, at most `limit`; the one not seen for longest is forgotten first.

    `lost` counts those that the last look forgot although they run.
    """

    def __init__(self, limit: int = MAX_PROGRAMS) -> None:
        self._limit = limit
        self._programs: OrderedDict[str, Program] = OrderedDict()
        self._alive: frozenset[Identity] = frozenset()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._programs)

    def knows(self, identity: Identity) -> bool:
        """Whether the last look saw this process."""
        return identity in self._alive

    def get(self, key: str) -> Optional[Program]:
        """The program of this family."""
        return self._programs.get(key)

    def look(self, now: int, sightings: Iterable[Sighting], alive: frozenset[Identity]) -> None:
        """Take in one look at unix time `now`; `alive` are all processes that it saw, `sightings` those to remember.

        A process counts as started once, under the family that it was first seen with, whatever it calls itself later.
        """
        for known in list(self._programs.values()):
            known._end(alive)
            if known.living:
                self._programs.move_to_end(known.family)
        for seen in sorted(sightings, key=lambda sighting: sighting.identity[1]):
            if seen.identity in self._alive:
                continue
            program = self._programs.get(seen.family)
            if program is None:
                program = self._programs[seen.family] = Program(seen.family, now, seen)
            self._programs.move_to_end(seen.family)
            program._start(seen, self._alive)
        self._alive = alive
        self.lost = 0
        while len(self._programs) > self._limit:
            _, forgotten = self._programs.popitem(last=False)
            self.lost += bool(forgotten.living)

    def returned(self, times: int) -> list[Program]:
        """The programs that have come back at least so many times, in the order in which they were last seen."""
        return [program for program in self._programs.values() if program.respawns >= times]

    def mutual_guard(self, program: Program) -> Optional[Program]:
        """The program that revived this one after its end, and was itself revived by this one."""
        for key in sorted(program.revivers):
            other = self._programs.get(key)
            if other is not None and other is not program and program.family in other.revivers:
                return other
        return None
