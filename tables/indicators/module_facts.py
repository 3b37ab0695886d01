"""Where the file of a kernel module comes from, and what excuses one that is not the kernel's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from tables.host import Host
from tables.host.installed_modules import OnDisk, dkms_modules
from tables.host.packages import OwnerUnknown, owners
from tables.indicators.kernel_modules import module_origins


class ModuleFacts:
    """The module files that are installed for one kernel release, and who owns those of the modules named."""

    def __init__(self, host: Host, release: str, names: Iterable[str]) -> None:
        self.host = host
        self.release = release
        self.gaps: list[str] = []
        self.origins = module_origins()
        self.disk = OnDisk.of(host.files, release)
        self._dkms = dkms_modules(host.files, release)
        self.packages: Optional[dict[str, Optional[str]]] = None
        paths = [path for name in names if (path := self.path(name)) is not None]
        try:
            self.packages = owners(host, paths) if paths else None
        except OwnerUnknown as error:
            self.gaps.append(str(error))

    def path(self, name: str) -> Optional[str]:
        """The file that modules.dep names for the module."""
        return (self.disk.paths or {}).get(name)

    def package(self, name: str) -> Optional[str]:
        """The package that owns that file, None when there is none or it is not known."""
        path = self.path(name)
        return (self.packages or {}).get(path) if path is not None else None

    def is_unowned(self, path: str) -> bool:
        """Whether it is certain that no package owns the file."""
        return self.packages is not None and self.packages.get(path, "") is None

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
        if not any((self.packages or {}).values()) and not taint:
            return "built here: no package owns any module of this kernel"
        return self.exception(name, taint)

    def added(self) -> list[str]:
        """The files of modules that are installed where those from outside the kernel are."""
        return sorted(path for path in (self.disk.paths or {}).values() if self.origins.is_added(self.disk.inside(path)))
