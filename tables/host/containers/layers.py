"""Whether a file of a process in a container is of its image, or was put into the writable layer on top (overlayfs).

Documentation/filesystems/overlayfs.rst: what differs from the lower folders is kept in the upper one, and deleted files as
character devices 0/0 there. The folders' paths, of the host, stand in the options of the container's root mount.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import NamedTuple, Optional

from tables.host.disk.mounts import Mount
from tables.host.disk.tree import PATH, open_in_root
from tables.host.processes.procfs import Process, Procfs

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_OPTION = re.compile(r"(?:[^,\\]|\\.)+")
_FOLDER = re.compile(r"(?:[^:\\]|\\.)+")
_ESCAPE = re.compile(r"\\(.)")
# The kernel's own bound (fs/overlayfs/params.h).
_MAX_LOWER = 500
_MAX_ANCESTORS = 16
_OPEN_FOLDER = PATH | os.O_DIRECTORY


class Layers(NamedTuple):
    """The folders that a container's root folder is made of, the upper one and those below it, topmost first.

    `through` is the pid of a process whose root folder their paths are to be followed in, None for our own.
    """

    upper: str
    lower: tuple[str, ...]
    through: Optional[int] = None


def layers_of(mount: Mount) -> Optional[Layers]:
    """The layers of an overlay mount; None for another, and for one without a writable layer."""
    if mount.fs_type != "overlay":
        return None
    upper, lower = "", []
    for option in _OPTION.findall(mount.super_options):
        name, _, value = option.partition("=")
        if name == "upperdir":
            upper = _plain(value)
        elif name == "lowerdir":
            lower += [_plain(folder) for folder in _FOLDER.findall(value)]
        elif name in ("lowerdir+", "datadir+"):
            lower.append(_plain(value))
    if not upper.startswith("/"):
        return None
    # Docker mounts from the folder around all layers, to have shorter options (moby: overlay2/mount.go).
    base = os.path.dirname(os.path.dirname(upper))
    return Layers(upper, tuple(os.path.join(base, folder) for folder in lower[:_MAX_LOWER]))


def _plain(value: str) -> str:
    return _ESCAPE.sub(r"\1", value)


class ImageLayers:
    """Tells of the files of processes in containers where they come from; looks at each mount namespace once.

    `unreached` are upper folders that are not where we could look, as those of a runtime in another mount namespace.
    """

    def __init__(self, procfs: Procfs) -> None:
        self.procfs = procfs
        self.own_namespace = procfs.namespace("self", "mnt")
        self.unreached: set[str] = set()
        self._layers: dict[str, tuple[Optional[Layers], tuple[str, ...]]] = {}

    def added(self, process: Process, path: str, is_deleted: bool = False) -> Optional[str]:
        """The upper folder that holds the file `path` of `process` in place of the image; None when the image has it.

        `path` is absolute, as the process sees it. None too where that cannot be told: outside of containers, on a volume,
        and for a deleted file of which the image has one at the same path.
        """
        layers, mounted = self._of(process)
        if layers is None or any(path.startswith(point.rstrip("/") + "/") or path == point for point in mounted):
            return None
        try:
            upper = None if is_deleted else self._status(layers, layers.upper, path)
            if not is_deleted and (upper is None or not stat.S_ISREG(upper.st_mode)):
                return None
            # Only for what is in the upper layer, or was: there are many below it.
            image = next(filter(None, (self._status(layers, folder, path) for folder in layers.lower)), None)
        except OSError:
            self.unreached.add(layers.upper)
            return None
        # One that was only given another mode or owner was copied up as it was.
        is_same = image and (upper is None or (upper.st_size, upper.st_mtime_ns) == (image.st_size, image.st_mtime_ns))
        return None if is_same else layers.upper

    def _of(self, process: Process) -> tuple[Optional[Layers], tuple[str, ...]]:
        """The layers of the process's root folder, and what is mounted in it besides."""
        namespace = process.mount_namespace
        if namespace is None or namespace == self.own_namespace or process.root != "/":
            return None, ()
        if namespace not in self._layers:
            mounts = list(self.procfs.mounts(process.pid))
            root = next((mount for mount in reversed(mounts) if mount.mount_point == "/"), None)
            points = tuple(mount.mount_point for mount in mounts if mount.mount_point != "/")
            layers = layers_of(root) if root else None
            self._layers[namespace] = (layers and layers._replace(through=self._where(process, layers)), points)
        return self._layers[namespace]

    def _where(self, process: Process, layers: Layers) -> Optional[int]:
        """Through whose root folder the layers are found: ours, else that of the runtime within another container."""
        seen = {process.mount_namespace, self.own_namespace}
        ancestor: Optional[Process] = process
        if self._reaches(layers):
            return None
        for _ in range(_MAX_ANCESTORS):
            ancestor = self.procfs.process(ancestor.stat.ppid) if ancestor else None
            if ancestor is None:
                break
            if ancestor.mount_namespace not in seen and self._reaches(layers._replace(through=ancestor.pid)):
                return ancestor.pid
            seen.add(ancestor.mount_namespace)
        return None

    def _reaches(self, layers: Layers) -> bool:
        try:
            self._status(layers, layers.upper, "/")
        except OSError:
            return False
        return True

    def _status(self, layers: Layers, folder: str, path: str) -> Optional[os.stat_result]:
        """What is at `path` in a layer, None when nothing is; OSError when the layer is out of reach."""
        outer = os.open("/" if layers.through is None else f"{layers.through}/root", _OPEN_FOLDER, dir_fd=self.procfs.fd)
        try:
            root = open_in_root(outer, folder, _OPEN_FOLDER)
        finally:
            os.close(outer)
        try:
            found = open_in_root(root, path, PATH, follow=False)
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise
        finally:
            os.close(root)
        try:
            return os.fstat(found)
        finally:
            os.close(found)
