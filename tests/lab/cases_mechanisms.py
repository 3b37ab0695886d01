"""Everything that starts something without a job, a unit or a script of its own, each with a payload, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.lab.case import case
from tests.lab.cases_accounts import person
from tests.lab.room import Planted, Room
from tests.support.start_mechanisms import EXECUTABLE, FIRES, PROGRAMS, SILENT, filled

# What other queries report.
_ELSEWHERE = ("cron.d", "rc.local", "systemd/system/", "nsswitch", "ld.so.conf", "udev", "initramfs", "dracut", "dnf-plugins")
# A file of the same name in /etc takes the place of these.
_ELSEWHERE += ("/usr/lib/tmpfiles.d/", "/run/tmpfiles.d/")
_UID = 1850


def _plant(room: Room, trees: Iterable[Mapping[str, str]]) -> Planted:
    """Plant the trees of one file, of those for one path the first."""
    person(room, "kim", _UID)
    planted: dict[str, None] = {}
    for tree in trees:
        (path, text), *more = tree.items()
        name = path.removesuffix(EXECUTABLE)
        if not more and name not in planted and not any(each in name for each in _ELSEWHERE):
            owner = _UID if name.startswith("/home/") else 0
            room.write(name, filled(text), 0o755 if name != path else 0o644, owner)
            planted[name] = None
    return {"path": tuple(planted)}


@case(5, startup_suspicious_command="path")
def payloads_of_every_mechanism(room: Room) -> Planted:
    """a payload behind each setting that starts something."""
    for program in PROGRAMS:
        room.program(filled(program))
    return _plant(room, FIRES.values())


@payloads_of_every_mechanism.twin
def _(room: Room) -> Planted:
    """the same settings as software ships them and administrators write them."""
    return _plant(room, SILENT.values())
