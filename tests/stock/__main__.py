"""`make stock`: whole Debian systems as their packages make them (as root).

No detection may have a row on them, and minehunt's own packages must install, serve and go again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack, shipped_pack
from tables.host import Host
from tests.kernels.cache import CACHE, RigError, key, remove, run
from tests.kernels.debian import mirror
from tests.stock import installed

SUITES = ("bookworm", "trixie")
# What servers and a desktop are mostly made of, and what is known to do odd things on purpose.
_PACKAGES = """
    systemd-sysv cron at anacron logrotate rsyslog openssh-server sudo nginx apache2 php-fpm libapache2-mod-php
    postgresql mariadb-server redis-server docker.io libvirt-daemon-system samba postfix dovecot-imapd fail2ban certbot
    etckeeper xinetd chromium xfce4 ansible golang-go git vim tmux screen byobu bind9 squid haproxy memcached
    rabbitmq-server snmpd munin-node smartmontools unattended-upgrades needrestart mdadm lvm2 network-manager cups
    avahi-daemon bluetooth dnsmasq openvpn wireguard-tools strongswan nfs-kernel-server tor apt-listchanges debsums
    rkhunter logwatch apparmor auditd build-essential python3-pip pipx
"""
PACKAGES = tuple(_PACKAGES.split())
# Nothing is started in the new system, and nobody is asked anything.
_INSTALL = (
    "mount -t proc proc /proc; export DEBIAN_FRONTEND=noninteractive LC_ALL=C; apt-get update -qq && "
    "apt-get install -y -qq --no-install-recommends {packages}; status=$?; umount /proc; exit $status"
)
_NO_STARTS = "#!/bin/sh\nexit 101\n"


def system(suite: str) -> Path:
    """The root folder of a system of this release, made where the cache lacks it."""
    tree = CACHE / f"stock-{suite}-{key(*PACKAGES)}"
    if tree.exists():
        return tree
    print(f"building a Debian {suite} with {len(PACKAGES)} chosen packages", flush=True)
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = tree.with_name(f"{tree.name}.part{os.getpid()}")
    try:
        run("debootstrap", "--variant=minbase", "--arch=amd64", suite, part, mirror())
        guard = part / "usr/sbin/policy-rc.d"
        guard.write_text(_NO_STARTS)
        guard.chmod(0o755)
        shutil.copytree("/etc/apt/apt.conf.d", part / "etc/apt/apt.conf.d", dirs_exist_ok=True)
        install = _INSTALL.format(packages=" ".join(PACKAGES))
        run("unshare", "--mount", "--pid", "--fork", "--propagation", "private", "chroot", part, "sh", "-c", install)
        guard.unlink()
        part.rename(tree)
    finally:
        if part.exists():
            remove(part)
    return tree


def detections(tree: Path) -> list[str]:
    """Each row of a detection on the system, and each detection that could not be asked, in words."""
    engine = EmbeddedEngine(Host(str(tree)))
    said = []
    for query in load_pack(shipped_pack()).queries():
        if query.kind != "detection" or engine.inapplicable(query.sql):
            continue
        try:
            said += [f"{query.name}: {row}" for row in engine.query(query.sql)]
        except Exception as error:
            said.append(f"{query.name}: {error}")
    return said


def main() -> int:
    """Examine the systems; 1 where one of them is not silent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=SUITES, metavar="SUITE", help="a release of Debian (default: two)")
    found = 0
    for suite in parser.parse_args().suites:
        try:
            tree = system(suite)
        except (RigError, subprocess.SubprocessError) as error:
            print(f"{suite}: cannot be built: {error}", file=sys.stderr)
            return 2
        said = detections(tree) + installed.problems(tree)
        packages = len(list((tree / "var/lib/dpkg/info").glob("*.list")))
        print(f"Debian {suite}, {packages} packages: {len(said)} detection rows and problems", *said, sep="\n  ", flush=True)
        found += len(said)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
