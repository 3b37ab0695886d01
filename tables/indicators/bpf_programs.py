"""Where a BPF program can hide something, and whose it may be: bpf_programs.yaml as questions with answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.process_names import Names


class Holder(NamedTuple):
    """A process that holds a program: its executable, whether a package owns that, whether it runs in a container."""

    path: str
    is_packaged: bool
    is_contained: bool


class _Agent(NamedTuple):
    exception: str
    holders: re.Pattern[str]
    programs: tuple[str, ...]

    def is_holder(self, holder: Holder, program: str) -> bool:
        if self.holders.fullmatch(holder.path) is None:
            return False
        return holder.is_packaged or (holder.is_contained and bool(self.programs) and program.startswith(self.programs))


class BpfPrograms:
    """The lists of bpf_programs.yaml."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._targets = Names.of(data["targets"])
        self._agents = tuple(
            _Agent(
                entry["exception"],
                re.compile("|".join(f"(?:{pattern})" for pattern in entry["holders"])),
                tuple(entry.get("programs") or ()),
            )
            for entry in data["agents"]
        )

    def is_watched(self, target: str) -> bool:
        """Whether a program that is attached to this function or tracepoint can change what others read."""
        return self._targets.match(target)

    def exception(self, program: str, holders: list[Holder]) -> Optional[str]:
        """The agent whose the program is: every one of its holders must be that agent's."""
        for agent in self._agents if holders else ():
            if all(agent.is_holder(holder, program) for holder in holders):
                return agent.exception
        return None


@functools.lru_cache(maxsize=1)
def bpf_programs() -> BpfPrograms:
    """The built-in lists, read when first asked for."""
    return BpfPrograms(load_yaml("bpf_programs.yaml"))
