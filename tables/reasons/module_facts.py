"""Where the file of a kernel module comes from, and what excuses one that is not the kernel's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from tables.host import Host
from tables.host.kernel.installed_modules import MAX_PATTERN_NAMES, OnDisk, dkms_modules
from tables.host.packages.owners import OwnerUnknown, owners
from tables.indicators.kernel_modules import module_origins
from tables.unseen import Unseen


class ModuleFacts:
    """The module files that are installed for one kernel release, and who owns those of the modules named."""

    def __init__(
        self, host: Host, release: str, names: Iterable[str], unseen: Unseen, aliases: bool = False, sample: int = 0
    ) -> None:
        """`names` may be aliases where `aliases` is true; `sample` more modules tell whether a package brought this kernel."""
        self.host = host
        self.release = release
        self.origins = module_origins()
        self.disk = OnDisk.of(host.files, release)
        self._dkms = dkms_modules(host.files, release)
        self.packages: Optional[dict[str, Optional[str]]] = None
        wanted = list(names)
        files = self.disk.paths or {}
        unknown = [name for name in wanted if name not in files] if aliases else []
        self._aliases = self.disk.aliases(host.files, unknown)
        self.is_alias_cut = len(unknown) > MAX_PATTERN_NAMES
        self._sample = [path for path in files.values() if self.origins.is_in_tree(self.disk.inside(path))][:sample]
        paths = [path for name in wanted if (path := self.path(name)) is not None]
        # weak-modules(8) links the modules of one kernel into the folder of another.
        self._real = {path: _real_path(host, path) for path in paths}
        try:
            self.packages = owners(host, {*paths, *self._real.values(), *self._sample}) if paths else None
        except OwnerUnknown as error:
            unseen.cannot_tell(str(error))

    def path(self, name: str) -> Optional[str]:
        """The file that modules.dep names for the module."""
        return (self.disk.paths or {}).get(self._aliases.get(name, name))

    def package(self, name: str) -> Optional[str]:
        """The package that owns that file, None when there is none or it is not known."""
        path = self.path(name)
        known = self.packages or {}
        return (known.get(path) or known.get(self._real.get(path, path))) if path is not None else None

    def is_unowned(self, path: str) -> bool:
        """Whether it is certain that no package owns the file."""
        spellings = {path, self._real.get(path, path)}
        return self.packages is not None and all(self.packages.get(spelling, "") is None for spelling in spellings)

    def origin(self, name: str, taint: str) -> str:
        """What is known of the file, in words."""
        path = self.path(name)
        if path is None:
            return "its file is not known"
        if self._is_impostor(path, taint):
            return f"{path} is a file of the kernel's own, but what is loaded under its name was not built with the kernel"
        return f"modules.dep names {path}"

    def _is_impostor(self, path: str, taint: str) -> bool:
        """Whether something from outside the kernel runs under the name of a module that was built with it."""
        return "O" in taint and self.origins.is_in_tree(self.disk.inside(path))

    def exception(self, name: str, taint: str) -> Optional[str]:
        """What excuses a module with this taint: DKMS, a package, a maker's product."""
        path = self.path(name)
        if name in self._dkms and path is not None:
            return f"built by DKMS: {self._dkms[name]}"
        package = self.package(name)
        if package is not None and path is not None and not self._is_impostor(path, taint):
            return f"package {package}"
        known = self.origins.known_driver(name)
        if known is not None and (path is not None or any(map(self.host.files.exists, known.folders))):
            return known.exception
        return None

    def unowned_exception(self, name: str, taint: str) -> Optional[str]:
        """What excuses a module whose file no package owns."""
        path = self.path(name)
        is_in_tree = path is not None and self.origins.is_in_tree(self.disk.inside(path))
        if not any((self.packages or {}).values()) and not taint and is_in_tree:
            return "built here: no package owns any module of this kernel"
        return self.exception(name, taint)

    def added(self) -> list[str]:
        """The files of modules that are installed where those from outside the kernel are."""
        return sorted(path for path in (self.disk.paths or {}).values() if self.origins.is_added(self.disk.inside(path)))


def _real_path(host: Host, path: str) -> str:
    try:
        return host.files.real_path(path)
    except OSError:
        return path
