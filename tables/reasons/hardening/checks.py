"""What a hardening check is, and how it may turn out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.host.systemd.folders import wanted_link


class Outcome(NamedTuple):
    """How a check turned out: `passed` is None where it does not apply, or could not be looked at (`why_unknown`)."""

    passed: Optional[bool]
    actual: Optional[str] = None
    path: Optional[str] = None
    line: Optional[int] = None
    applies: bool = True
    why_unknown: Optional[str] = None


class Check(NamedTuple):
    """One check: its stable id, what it wants in words, what to do when it fails, and how to look."""

    check_id: str
    category: str
    title: str
    expected: str
    remedy: str
    look: Callable[[Host], Outcome]


def not_applicable(why: str) -> Outcome:
    """The check is about something that this host does not have."""
    return Outcome(None, why, applies=False)


def unknown(why: str) -> Outcome:
    """The check is about something that could not be read."""
    return Outcome(None, why_unknown=why)


def is_unit_masked(files: Files, unit: str) -> bool:
    """Whether an administrator forbade `unit` (systemctl mask links it to /dev/null)."""
    try:
        return files.link_target(f"/etc/systemd/system/{unit}") == "/dev/null"
    except Unreadable:
        return False


def any_unit_wanted(files: Files, units: Iterable[str]) -> Outcome:
    """The outcome of a check that systemd starts one of these units."""
    units = list(units)
    for unit in units:
        wanted = wanted_link(files, unit)
        if wanted is not None:
            return Outcome(True, f"{unit} is enabled", wanted)
    return Outcome(False, f"none of {', '.join(units)} is enabled")
