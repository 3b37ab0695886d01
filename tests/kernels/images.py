"""Builds what a guest boots from: Debian 12's userland with Python and our requirements, one stock kernel, and an initrd."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kernels import initrd, requirements
from tests.kernels.cache import CACHE, forget_others, key, made_whole, remove, run
from tests.kernels.debian import Suite, mirror

HERE = Path(__file__).parent
# Every kernel runs the userland of one suite.
USERLAND = "bookworm"
# Name: the suite whose stock kernel it is, and whether the oldest that the suite still has instead of the newest. The older
# ones count every entry of a folder of procfs as a link of it, the newer ones folders only.
KERNELS = {
    "5.10": ("bullseye", False),
    "5.10-old": ("bullseye", True),
    "6.1": ("bookworm", False),
    "6.1-old": ("bookworm", True),
    "6.12": ("trixie", False),
}
_PACKAGES = ("busybox-static", "dbus-daemon", "iproute2", "kmod", "linux-base", "procps", "python3", "util-linux")
_RIG = "usr/local/lib/minehunt-rig"
_DISK_SIZE = "4G"


@dataclass(frozen=True)
class Image:
    """What one guest boots from: `init` is what the initrd hands over to, `settle` a command that ends once the guest is idle."""

    name: str
    folder: Path
    release: str
    init: str
    settle: tuple[str, ...] = ("true",)

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The initrd with the drivers of the disk."""
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        """The root file system, which no guest writes to."""
        return self.folder / "disk.ext4"


def kernel_image(name: str) -> Image:
    """The image of a stock kernel over the plain userland, built where the cache lacks it."""
    suite_name, is_oldest = KERNELS[name]
    suite = Suite(suite_name)
    package = suite.kernel(is_oldest)
    release = package.removeprefix("linux-image-")
    versions = Suite(USERLAND).versions("base-files", *_PACKAGES)
    folder = CACHE / f"kernel-{name}-{key(suite.versions(package), versions, requirements.locked(), *rig_sources())}"
    if not folder.exists():
        tar = userland("plain", versions, _PACKAGES)
        print(f"{name}: building an image with Linux {release}", flush=True)
        with scratch_tree() as tree, made_whole(folder) as part:
            unpack(tar, tree)
            add_kernel(tree, suite.download(package))
            add_agent(tree)
            seal(tree, release, part)
        forget_others(folder, f"kernel-{name}-{'?' * len(key())}")
    return Image(name, folder, release, f"/{_RIG}/init.sh")


def rig_sources() -> list[str]:
    """The text of all from which an image is made here, for its key."""
    return [
        (HERE / name).read_text() for name in ("agent.py", "images.py", "init.sh", "initrd.py", "initrd.sh", "requirements.py")
    ]


def debootstrap(tree: Path, packages: Sequence[str]) -> None:
    """Make `tree` a minimal Debian of the userland's suite with these packages."""
    downloads = CACHE / "debootstrap"
    downloads.mkdir(parents=True, exist_ok=True)
    chosen = f"--include={','.join(packages)}"
    run("debootstrap", "--variant=minbase", "--arch=amd64", f"--cache-dir={downloads}", chosen, USERLAND, tree, mirror())
    run("chroot", tree, "apt-get", "clean")


def add_kernel(tree: Path, package: Path) -> None:
    """Install a kernel's package in `tree`; it stands without the maker of initrds that it depends on, as we make ours."""
    shutil.copy(package, tree / "tmp" / package.name)
    run("chroot", tree, "dpkg", "--force-depends", "--install", f"/tmp/{package.name}")
    (tree / "tmp" / package.name).unlink()


def add_agent(tree: Path) -> None:
    """Put the agent and the first process into `tree`."""
    folder = tree / _RIG
    folder.mkdir(parents=True)
    for name in ("agent.py", "init.sh"):
        shutil.copy(HERE / name, folder / name)
    (folder / "init.sh").chmod(0o755)


@contextmanager
def scratch_tree() -> Iterator[Path]:
    """A folder for a whole system, removed afterwards: its setuid programs must lie in no cache."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=CACHE) as folder:
        tree = Path(folder) / "root"
        tree.mkdir()
        try:
            yield tree
        finally:
            remove(tree)


def userland(name: str, made_of: str, packages: Sequence[str]) -> Path:
    """A tar of a minimal system with these packages and our requirements, made where the cache lacks it.

    `made_of` names what it depends on besides: versions of packages.
    """
    installer = Path(requirements.__file__).read_text()
    tar = CACHE / f"userland-{name}-{key(made_of, *packages, requirements.locked(), installer)}.tar"
    if not tar.exists():
        print(f"building a userland of Debian's {USERLAND} with {len(packages)} chosen packages", flush=True)
        with scratch_tree() as tree, made_whole(tar) as part:
            debootstrap(tree, packages)
            requirements.install(tree)
            run("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", tree, "-cf", part, ".")
        forget_others(tar, f"userland-{name}-*")
    return tar


def unpack(tar: Path, tree: Path) -> None:
    """Unpack a userland."""
    run("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--preserve-permissions", "-C", tree, "-xf", tar)


def seal(tree: Path, release: str, folder: Path) -> None:
    """Make `folder`, with the kernel, the initrd and the disk of the finished `tree` in it."""
    folder.mkdir()
    shutil.copy(tree / "boot" / f"vmlinuz-{release}", folder / "vmlinuz")
    initrd.write(tree, release, folder / "initrd")
    # mke2fs keeps each file's times and would date its birth after them; an installer makes files before it changes them.
    born = {"E2FSPROGS_FAKE_TIME": str(round(_oldest_change(tree)))}
    run("mke2fs", "-q", "-t", "ext4", "-L", "guest", "-d", tree, folder / "disk.ext4", _DISK_SIZE, env={**os.environ, **born})


def _oldest_change(tree: Path) -> float:
    oldest = time.time()
    for folder, folders, files in os.walk(tree):
        oldest = min(oldest, *(os.lstat(os.path.join(folder, name)).st_ctime for name in [".", *folders, *files]))
    return oldest
