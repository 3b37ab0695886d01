"""The initrd of a guest: busybox, a script, and the drivers of the disk and of the port."""

from __future__ import annotations

import lzma
import shutil
import tempfile
from pathlib import Path

from tests.kernels.cache import CACHE, run

# Everything else the guest loads from its own /lib/modules. ext4 asks for crc32c by that name when it mounts.
_MODULES = ("crc32c_generic", "virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4")
_SCRIPT = Path(__file__).with_name("initrd.sh")


def write(tree: Path, release: str, target: Path) -> None:
    """Write the initrd for a kernel whose modules, with those of busybox-static, are installed in `tree`."""
    with tempfile.TemporaryDirectory(prefix="initrd-", dir=CACHE) as name:
        root = Path(name)
        for folder in ("bin", "dev", "modules", "proc", "root"):
            (root / folder).mkdir()
        shutil.copy(tree / "bin/busybox", root / "bin/busybox")
        shutil.copy(_SCRIPT, root / "init")
        (root / "init").chmod(0o755)
        for number, path in enumerate(in_order(tree / "lib/modules" / release)):
            content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            (root / "modules" / f"{number:02}-{_name(path)}.ko").write_bytes(content)
        run("sh", "-c", 'cd "$1" && find . | cpio --quiet -o -H newc | gzip -1 > "$2"', "sh", root, target)


def in_order(modules: Path) -> list[Path]:
    """The files of the initrd's modules, each after what it depends on; those built into the kernel are left out."""
    needed = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        # modules.dep names them in the reverse of the order in which to load them.
        needed[_name(Path(path))] = [*reversed(others.split()), path]
    return [modules / path for path in dict.fromkeys(path for name in _MODULES for path in needed.get(name, ()))]


def _name(module: Path) -> str:
    return module.name.partition(".")[0].replace("-", "_")
