"""What is odd about a systemd unit beyond its commands: where its file lies, and what it changes in a vendor's unit."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.systemd.commands import UnitCommand
from tables.host.systemd.managers import Manager, UnitFile
from tables.reasons.commands import command_reasons, script_reasons
from tables.schema import Words
from tables.text.shell import parse

# What is odd about a unit; where `link_outside` leads may be odd as well (temp_path …).
UNIT_WORDS = Words.listed(
    "drop_in_changes_command generator_unpackaged hidden_unit shadows_vendor_command world_writable_unit",
    explaining="link_outside",
)

# In which order systemd runs the commands of a service (systemd.service(5)).
_PHASES = {key: at for at, key in enumerate(("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost"))}
_FETCHING = ("://", "curl", "wget")
_FETCHED = frozenset({"download_and_run", "renamed_downloader", "encoded_payload"})

# Distributions that keep every file there, and link to it.
_STORES = ("/nix/store/", "/gnu/store/")


def unit_file_reasons(found: UnitFile, folders: Collection[str]) -> list[str]:
    """What is odd about a unit's file: `folders` are those that systemd reads.

    link_outside (with temp_path, hidden_path …), hidden_unit, world_writable_unit.
    """
    reasons: list[str] = []
    file = found.file
    if file is not None and file.path.rpartition("/")[0] not in folders and not file.path.startswith(_STORES):
        reasons += ["link_outside", *command_reasons(shlex.quote(file.path))]
    if found.is_hidden:
        reasons.append("hidden_unit")
    if file is not None and file.status.st_mode & 0o002:
        reasons.append("world_writable_unit")
    return reasons


def reasons_together(commands: Sequence[UnitCommand]) -> list[frozenset[str]]:
    """For each command of one unit file, what it is suspected of for what those say that systemd runs before it.

    ExecStartPre= may fetch what ExecStart= runs.
    """
    found: list[frozenset[str]] = [frozenset()] * len(commands)
    if len(commands) < 2 or not any(word in command.text for command in commands for word in _FETCHING):
        return found
    order = sorted(range(len(commands)), key=lambda at: _PHASES.get(commands[at].setting.key, len(_PHASES)))
    script = parse("\n".join(shlex.join(commands[at].words).replace("\n", " ") for at in order))
    for command, reasons in zip(script.commands, script_reasons(script)):
        if command.line <= len(order):
            # Of the text itself the command's own line tells.
            found[order[command.line - 1]] |= _FETCHED.intersection(reasons)
    return found


def shadowed_file(manager: Manager, found: UnitFile) -> Optional[str]:
    """The path of the vendor's unit file that `found` replaces."""
    if found.is_drop_in or found.file is None:
        return None
    for other in manager.fragments_of(found.name):
        if other.folder.origin == "vendor" and other.folder.rank > found.folder.rank and other.file is not None:
            return other.file.path if other.file.path != found.file.path else None
    return None


class UnitProgram(NamedTuple):
    """A program that a unit file starts, and what is known of both."""

    unit: str
    path: str
    directive: Optional[str]
    program: Optional[str]
    program_is_packaged: Optional[int]
    is_drop_in: int
    shadows: Optional[str]


def is_left_over(manager: Manager, files: Files, unit: str) -> bool:
    """Whether a drop-in changes nothing: the unit that it names has no file (any more), and nothing makes one at boot.

    Names that stand for several units (service, foo-.service, foo@.service) always count.
    """
    stem = unit.rpartition(".")[0]
    if not stem or stem.endswith(("-", "@")) or manager.unit(unit).fragment is not None:
        return False
    return not files.exists(f"/etc/init.d/{stem}")


def change_reasons(row: UnitProgram, manager: Manager, programs: Mapping[str, Collection[Optional[str]]]) -> list[str]:
    """What an unpackaged file changes in a vendor's unit; `programs` are those that each unit file starts, by path.

    shadows_vendor_command: it replaces the unit and starts a program that the vendor's does not. drop_in_changes_command: it
    is a drop-in and does so. Beside ExecStart= only programs count that no package owns: many files add a mkdir or chown.
    """
    if row.directive != "ExecStart" and row.program_is_packaged != 0:
        return []
    if row.shadows:
        return [] if row.program in programs.get(row.shadows, ()) else ["shadows_vendor_command"]
    if not row.is_drop_in:
        return []
    fragment = manager.unit(row.unit).fragment
    if fragment is not None and fragment.folder.origin != "vendor":
        return []
    known = programs.get(fragment.file.path, ()) if fragment and fragment.file else ()
    return [] if row.program in known else ["drop_in_changes_command"]


def joined(reasons: Optional[str], more: Iterable[str]) -> str:
    """The text of a `reasons` column with more of them."""
    return ",".join(sorted({*filter(None, (reasons or "").split(",")), *more}))
