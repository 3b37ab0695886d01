"""One systemd's unit files put together: what holds for a unit in the end, and what wants it (systemd.unit(5))."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.accounts.databases import Account
from tables.host.disk.start_files import StartFile
from tables.host.systemd.folders import UnitFolder
from tables.host.systemd.syntax import Setting, drop_in_names, is_unit_name, template_of

# Settings by which a unit starts others (systemd.unit(5)), and where units are written by hand.
_PULLS = frozenset({"Wants", "Requires", "BindsTo", "Upholds", "OnFailure", "OnSuccess"})
_ADMINISTRATORS = ("/etc/", "/run/systemd/", "/usr/local/", "/home/", "/root/")


class UnitFile(NamedTuple):
    """A unit file or drop-in. `name` is the unit that it describes, for a drop-in its folder's name without `.d`.

    `location` is where it was found, `file` what lies there, its text left out; None for a link to /dev/null.
    """

    name: str
    location: str
    folder: UnitFolder
    is_drop_in: bool
    file: Optional[StartFile]
    settings: tuple[Setting, ...]

    @property
    def is_mask(self) -> bool:
        """Whether it switches off the unit, or the drop-ins of the same name (systemd.unit(5))."""
        return self.file is None or self.file.status.st_size == 0

    @property
    def is_hidden(self) -> bool:
        """Whether its name begins with a dot; systemd does not read it by itself."""
        return self.location.rpartition("/")[2].startswith(".")


class Unit(NamedTuple):
    """A unit as systemd puts it together: its file, which all others of the name give way to, and the drop-ins for it."""

    name: str
    fragment: Optional[UnitFile]
    drop_ins: tuple[UnitFile, ...]

    @property
    def is_masked(self) -> bool:
        """Whether it is switched off for good."""
        return self.fragment is not None and self.fragment.is_mask

    @property
    def settings(self) -> list[Setting]:
        """The assignments of all its files, in the order in which they take effect."""
        parts = [*([self.fragment] if self.fragment else []), *self.drop_ins]
        return [setting for part in parts for setting in part.settings]


class Manager:
    """The unit files of one systemd: the system's, all users' in common (no account), or what one user adds to these."""

    def __init__(self, scope: str, account: Optional[Account] = None, common: Optional[Manager] = None) -> None:
        self.scope = scope
        self.account = account
        self.common = common
        # By name, those of the higher folders first; aliases are links, and listed under each name.
        self.fragments: dict[str, list[UnitFile]] = {}
        self.drop_ins: dict[str, list[UnitFile]] = {}
        self._aliases: dict[str, set[str]] = {}
        self._wanted_by: dict[str, set[str]] = {}
        self._locations: set[str] = set()

    def files(self) -> list[UnitFile]:
        """Every file of this manager's own folders once, under its own name and folder rather than a link's; sorted."""
        found: dict[tuple[str, bool], UnitFile] = {}
        for one in (one for group in (self.fragments, self.drop_ins) for held in group.values() for one in held):
            key = (one.file.path if one.file else one.location, one.is_drop_in)
            if key not in found or one.location == key[0]:
                found[key] = one
        return sorted(found.values(), key=lambda one: (one.name, one.is_drop_in, one.folder.rank, one.location))

    def names(self) -> list[str]:
        """The names of all units of its own folders, sorted."""
        return sorted(self.fragments)

    def all_units(self, *kinds: str) -> Iterator[Unit]:
        """What holds for each unit of these types that its own folders define or change, or whose instance they want; sorted.

        Of what all users have in common, a user's own folders change what they have drop-ins for.
        """
        instances = {name for name in self._wanted_by if template_of(name)}
        own = {*self.fragments, *instances, *(name for name in self.drop_ins if is_unit_name(name))}
        if self.common is not None and self.drop_ins:
            own.update(self.common.fragments)
        for name in sorted(name for name in own if name.endswith(tuple(f".{kind}" for kind in kinds))):
            unit = self.unit(name)
            is_own = name in instances or any(
                found.location in self._locations for found in (unit.fragment, *unit.drop_ins) if found
            )
            if unit.fragment is not None and is_own:
                yield unit

    def unit(self, name: str) -> Unit:
        """What holds for the unit `name`: an instance without a file of its own has its template's."""
        candidates = self.fragments_of(name)
        if not candidates and (template := template_of(name)):
            candidates = self.fragments_of(template)
        visible = [found for found in candidates if not found.is_hidden]
        drop_ins: dict[str, UnitFile] = {}
        for owner in drop_in_names(name):
            for found in self._files_of("drop_ins", owner):
                if not found.is_hidden:
                    # Of several with one file name the first holds; all are read in the order of their names.
                    drop_ins.setdefault(found.location.rpartition("/")[2], found)
        ordered = tuple(drop_ins[key] for key in sorted(drop_ins) if not drop_ins[key].is_mask)
        return Unit(name, visible[0] if visible else None, ordered)

    def fragments_of(self, name: str) -> list[UnitFile]:
        """The unit files named `name`, that of the highest folder first; drop-ins are not among them."""
        return self._files_of("fragments", name)

    def wanted_by(self, name: str) -> list[str]:
        """The units whose .wants, .requires or .upholds folders have a link to `name`, an alias or an instance of it; sorted.

        Also those whose files, in the folders for administrators, name it in Wants= and the like.
        """
        aliases = {name, *self._aliases.get(name, ())}
        found = {target for alias in aliases for target in self._wanted_by.get(alias, ())}
        return sorted({*found, *(self.common.wanted_by(name) if self.common else ())})

    def instances(self, template: str) -> list[str]:
        """The instances of a template that something wants, sorted."""
        return sorted(name for name in self._wanted_by if template_of(name) == template)

    def add(self, found: UnitFile) -> None:
        """Take in a file."""
        group = self.drop_ins if found.is_drop_in else self.fragments
        group.setdefault(found.name, []).append(found)
        self._locations.add(found.location)
        if found.file and not found.is_drop_in:
            own = found.file.path.rpartition("/")[2]
            if own != found.name:
                self._aliases.setdefault(own, set()).add(found.name)
        if found.location.startswith(_ADMINISTRATORS):
            for setting in found.settings:
                if setting.section == "Unit" and setting.key in _PULLS:
                    for name in setting.value.split():
                        self.want(name, found.name)

    def want(self, name: str, target: str) -> None:
        """Take in a link to the unit `name` in a folder of `target`'s."""
        for wanted in (name, template_of(name)):
            if wanted:
                self._wanted_by.setdefault(wanted, set()).add(target)

    def _files_of(self, group: str, name: str) -> list[UnitFile]:
        own: list[UnitFile] = getattr(self, group).get(name, [])
        if self.common is None:
            return own
        return sorted([*own, *self.common._files_of(group, name)], key=lambda found: found.folder.rank)
