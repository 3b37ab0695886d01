"""systemd's unit files as they are on disk: which there are, what holds for a unit in the end, and what starts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

from tables.host.accounts.databases import Account, parse_passwd
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.host.disk.start_files import StartFile, read_start_file
from tables.host.systemd.folders import UnitFolder, common_user_folders, system_folders, user_folders
from tables.host.systemd.syntax import UNIT_TYPES, Setting, drop_in_names, is_unit_name, parse_unit, template_of

_MAX_ACCOUNTS = 4096
# What one manager's folders may hold; a user's own less, so that no user can blind us to the others.
_MAX_FILES = 20_000
_MAX_USER_FILES = 1000
_MAX_USER_BYTES = 2 * 1024 * 1024
_MAX_SETTINGS = 5000
_MAX_NAMES = 20_000
_WANTS = (".wants", ".requires", ".upholds")
_NO_HOME = ("/nonexistent", "/dev/null")


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
        """The units whose .wants, .requires or .upholds folders have a link to `name`, an alias or an instance of it; sorted."""
        aliases = {name, *self._aliases.get(name, ())}
        found = {target for alias in aliases for target in self._wanted_by.get(alias, ())}
        return sorted({*found, *(self.common.wanted_by(name) if self.common else ())})

    def add(self, found: UnitFile) -> None:
        """Take in a file."""
        group = self.drop_ins if found.is_drop_in else self.fragments
        group.setdefault(found.name, []).append(found)
        if found.file and not found.is_drop_in:
            own = found.file.path.rpartition("/")[2]
            if own != found.name:
                self._aliases.setdefault(own, set()).add(found.name)

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


class SystemdUnits:
    """Reads the unit files below a root folder, as systemd.unit(5) finds them; `managers` has the system's first.

    `unread` says what could not be read, `cut` what was left out because there is too much of it. What accounts are known
    comes from /etc/passwd alone.
    """

    def __init__(self, files: Files, check_time: Callable[[], None] = lambda: None) -> None:
        self.files = files
        self.check_time = check_time
        self.unread: list[str] = []
        self.cut: list[str] = []
        # The folders that were read, links resolved.
        self.folders: set[str] = set()
        system = Manager("system")
        self._read(system, system_folders(), _MAX_FILES, None)
        common = Manager("user")
        self._read(common, common_user_folders(), _MAX_FILES, None)
        self.managers = [system, common]
        for account in self._accounts():
            own = Manager("user", account, common)
            self._read(own, user_folders(account), _MAX_USER_FILES, _MAX_USER_BYTES)
            if own.fragments or own.drop_ins:
                self.managers.append(own)

    def _accounts(self) -> Iterator[Account]:
        """The accounts whose homes are looked into, one for each home."""
        try:
            accounts = parse_passwd(self.files.read("/etc/passwd"))
        except Unreadable as error:
            if not error.is_missing:
                self.unread.append(str(error))
            return
        homes: dict[str, Account] = {}
        for account in accounts:
            if account.home.startswith("/") and account.home.rstrip("/") not in _NO_HOME:
                homes.setdefault(account.home.rstrip("/"), account)
        if len(homes) > _MAX_ACCOUNTS:
            self.cut.append(f"/etc/passwd: only {_MAX_ACCOUNTS} of {len(homes)} homes were looked into")
        yield from list(homes.values())[:_MAX_ACCOUNTS]

    def _read(self, manager: Manager, folders: list[UnitFolder], max_files: int, max_bytes: Optional[int]) -> None:
        wanted: list[tuple[str, str, UnitFolder]] = []
        left = _Budget(max_files, max_bytes)
        for folder in folders:
            for name, path in self._entries(folder.path):
                owner, kind = _belongs_to(name)
                if is_unit_name(name):
                    self._add(manager, name, path, folder, False, left)
                elif kind == ".d" and (is_unit_name(owner) or owner in UNIT_TYPES):
                    for inside, inner in self._entries(path):
                        if inside.endswith(".conf"):
                            self._add(manager, owner, inner, folder, True, left)
                elif kind in _WANTS:
                    for inside, inner in self._entries(path):
                        if is_unit_name(inside):
                            manager.want(inside, owner)
                            wanted.append((inside, inner, folder))
            if left.is_spent:
                self.cut.append(f"{folder.path}: more unit files than are read ({max_files} files or {max_bytes} bytes)")
                return
        # Older systemd versions took the unit from where such a link leads.
        for name, path, folder in wanted:
            if not manager.unit(name).fragment:
                self._add(manager, name, path, folder, False, left)

    def _entries(self, folder: str) -> list[tuple[str, str]]:
        """Name and path of each entry of a folder that was not read before under another path."""
        self.check_time()
        try:
            names = self.files.names(folder)
            real = self.files.real_path(folder) if names else folder
        except (Unreadable, ValueError) as error:
            self.unread.append(str(error))
            return []
        if real in self.folders:
            return []
        self.folders.add(real)
        if len(names) > _MAX_NAMES:
            self.cut.append(f"{folder}: only {_MAX_NAMES} of {len(names)} entries were looked at")
        return [(name, f"{folder}/{name}") for name in names[:_MAX_NAMES]]

    def _add(self, manager: Manager, name: str, path: str, folder: UnitFolder, is_drop_in: bool, left: _Budget) -> None:
        self.check_time()
        if left.is_spent:
            return
        file: Optional[StartFile] = None
        settings: tuple[Setting, ...] = ()
        try:
            if self.files.real_path(path) != "/dev/null":
                file = read_start_file(self.files, path)
                left.spend(len(file.text))
                parsed = parse_unit(file.text)
                settings = tuple(parsed[:_MAX_SETTINGS])
                if not file.is_whole or len(parsed) > _MAX_SETTINGS:
                    self.cut.append(f"{path}: only its beginning was read ({DEFAULT_LIMIT} bytes, {_MAX_SETTINGS} settings)")
                file = file._replace(text="")
        except Unreadable as error:
            # systemd takes nothing but regular files.
            if not error.is_missing and error.why != "not a regular file":
                self.unread.append(str(error))
            return
        manager.add(UnitFile(name, path, folder, is_drop_in, file, settings))


class _Budget:
    """What may still be read of one manager's files."""

    def __init__(self, files: int, size: Optional[int]) -> None:
        self._files = files
        self._size = size

    def spend(self, size: int) -> None:
        self._files -= 1
        if self._size is not None:
            self._size -= size

    @property
    def is_spent(self) -> bool:
        return self._files <= 0 or (self._size is not None and self._size <= 0)


def _belongs_to(name: str) -> tuple[str, str]:
    """`name` without the ending that makes it a folder of settings or links of a unit, and that ending."""
    for ending in (".d", *_WANTS):
        if name.endswith(ending):
            return name[: -len(ending)], ending
    return name, ""
