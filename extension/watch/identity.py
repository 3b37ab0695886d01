"""By what a finding is known again: the same program, job, key or address, under whatever pid."""

from __future__ import annotations

import re
from typing import NamedTuple

from extension.incidents import Finding, told

_OF_A_RUN = ("process", "parent")
_PID = re.compile(r"\(pid [0-9]+\)|（pid [0-9]+）|/proc/[0-9]+|\b[0-9]+\b")


class Identity(NamedTuple):
    """What a finding is about, and in which run: `run` is the process (pid@start) or empty."""

    query: str
    about: tuple[str, ...]
    run: str


def identity(finding: Finding) -> Identity:
    """The identity of a finding; where it names nothing that lasts, its words without their numbers."""
    strong = finding.strong_things
    run = next((thing.value for thing in strong if thing.kind == "process"), "")
    about = sorted(f"{thing.kind} {thing.value}" for thing in strong if thing.kind not in _OF_A_RUN)
    about += sorted(f"program {finding.row[name]}" for name in ("exe_path", "cmdline", "username") if finding.row.get(name))
    return Identity(finding.query.name, tuple(about) or (_PID.sub("", told(finding, "en")),), run)
