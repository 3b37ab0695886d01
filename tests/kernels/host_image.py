"""Builds the image of a whole host: Debian 12 as somebody runs it, systemd first of all, with minehunt's own .deb in it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from build import packages
from tests.kernels import requirements
from tests.kernels.cache import CACHE, forget_others, key, made_whole, run
from tests.kernels.debian import Suite
from tests.kernels.images import USERLAND, Image, add_agent, add_kernel, rig_sources, scratch_tree, seal, unpack, userland

_PACKAGES = (
    "auditd", "bsdextrautils", "bsdutils", "busybox-static", "ca-certificates", "cron", "crun", "dbus", "gcc", "iproute2", "kmod",
    "libc6-dev", "libpam-systemd", "linux-base", "logrotate", "netavark", "openssh-server", "podman", "procps", "python3",
    "rsyslog", "sudo", "systemd", "systemd-sysv", "systemd-timesyncd", "tmux", "udev", "util-linux",
)  # fmt: skip
# Programs map it (sshd, Python), and the security updates have a newer one than the release.
LIBRARY = "libssl3"
_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "podman-auto-update.timer", "podman-auto-update.service")
LATER = "/var/cache/apt/archives"
USER = "alice"
_AGENT_UNIT = """\
[Unit]
Description=Agent of the test rig
After=multi-user.target

[Service]
Type=simple
ExecStart=/usr/bin/python3 /usr/local/lib/minehunt-rig/agent.py
Environment=HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LimitNOFILE=65536
KillMode=process

[Install]
WantedBy=multi-user.target
"""


def host_image() -> Image:
    """The image of the host without minehunt's package, which changes with each checkout; built where the cache lacks it."""
    suite = Suite(USERLAND)
    kernel = suite.kernel()
    release = kernel.removeprefix("linux-image-")
    versions = suite.versions(kernel, LIBRARY, "base-files", *_PACKAGES)
    folder = CACHE / f"host-{key(versions, requirements.locked(), Path(__file__).read_text(), *rig_sources())}"
    if not folder.exists():
        tar = userland("host", versions, _PACKAGES)
        print(f"building a host of Debian's {USERLAND} with Linux {release}", flush=True)
        with scratch_tree() as tree, made_whole(folder) as part:
            unpack(tar, tree)
            add_kernel(tree, suite.download(kernel))
            add_agent(tree)
            _furnish(tree, suite)
            seal(tree, release, part)
        forget_others(folder, "host-*")
    return Image("host", folder, release, "/sbin/init", ("systemctl", "is-system-running", "--wait"))


def minehunt_package() -> bytes:
    """The .deb of this checkout."""
    with tempfile.TemporaryDirectory(prefix="minehunt-deb-") as folder:
        return next(file for file in packages.build(Path(folder)) if file.suffix == ".deb").read_bytes()


def _furnish(tree: Path, suite: Suite) -> None:
    """What an administrator would: a user with a key, a fixed host key, package lists, a library's update at hand."""
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 guest\n::1 localhost ip6-localhost\n")
    (tree / "etc/fstab").write_text("/dev/vda / ext4 errors=remount-ro 0 1\n")
    (tree / "etc/systemd/system/minehunt-rig.service").write_text(_AGENT_UNIT)
    run("chroot", tree, "systemctl", "enable", "minehunt-rig.service")
    # They look for updates, which a host without a network waits for in vain, and hold dpkg's lock meanwhile.
    run("chroot", tree, "systemctl", "disable", *_TIMERS)
    run("chroot", tree, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    ssh = tree / "home" / USER / ".ssh"
    ssh.mkdir(mode=0o700)
    (tree / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@guest", "-f", tree / "root/.ssh/id_ed25519")
    shutil.copy(tree / "root/.ssh/id_ed25519.pub", ssh / "authorized_keys")
    run("chroot", tree, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}/.ssh")
    (tree / "etc/apt/sources.list").write_text(suite.sources.read_text())
    lists = tree / "var/lib/apt/lists"
    for file in suite.lists():
        shutil.copy(file, lists)
    shutil.copy(suite.download(LIBRARY), tree / LATER.lstrip("/"))
