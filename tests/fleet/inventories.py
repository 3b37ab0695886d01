"""What stock hosts of five kinds have in the pack's inventories: units, jobs, accounts, modules and services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

Row = dict[str, str]


class Image(NamedTuple):
    """One kind of host."""

    name: str
    platform: str
    share: int
    units: str
    services: tuple[tuple[str, str, str], ...]


_BASE_UNITS = (
    "ssh cron systemd-journald systemd-logind systemd-networkd systemd-resolved systemd-timesyncd systemd-udevd dbus getty@tty1 "
    "rsyslog polkit multipathd unattended-upgrades fstrim logrotate man-db apt-daily apt-daily-upgrade systemd-tmpfiles-clean"
)
_EL_UNITS = (
    "sshd crond systemd-journald systemd-logind systemd-udevd dbus-broker getty@tty1 rsyslog polkit auditd chronyd "
    "NetworkManager firewalld tuned irqbalance dnf-makecache logrotate systemd-tmpfiles-clean sssd rhsmcertd"
)
IMAGES = (
    Image("web", "ubuntu", 34, f"{_BASE_UNITS} nginx php8.1-fpm memcached snapd ufw", (("nginx", "443", "/usr/sbin/nginx"),)),
    Image(
        "db",
        "debian",
        18,
        f"{_BASE_UNITS} postgresql@15-main pgbouncer prometheus-node-exporter",
        (("postgres", "5432", "/usr/lib/postgresql/15/bin/postgres"),),
    ),
    Image(
        "node",
        "ubuntu",
        22,
        f"{_BASE_UNITS} containerd kubelet docker iscsid open-vm-tools",
        (("kubelet", "10250", "/usr/bin/kubelet"), ("dockerd", "2375", "/usr/bin/dockerd")),
    ),
    Image("app", "rhel", 18, f"{_EL_UNITS} httpd tomcat java-heapwatch", (("java", "8080", "/usr/lib/jvm/jre-17/bin/java"),)),
    Image(
        "cache",
        "debian",
        8,
        f"{_BASE_UNITS} redis-server haproxy keepalived",
        (("redis-server", "6379", "/usr/bin/redis-server"),),
    ),
)
_ACCOUNTS = (
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody systemd-network messagebus sshd"
)
_MODULES = "ext4 xfs nf_tables nf_conntrack overlay br_netfilter virtio_net virtio_blk dm_mod raid6_pq aesni_intel tls fuse loop"
_JOBS = (
    ("/etc/crontab", "17 * * * *", "cd / && run-parts --report /etc/cron.hourly"),
    ("/etc/crontab", "25 6 * * *", "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }"),
    ("/etc/cron.d/e2scrub_all", "30 3 * * 0", "/usr/lib/e2fsprogs/e2scrub_all_cron"),
    ("/etc/cron.d/sysstat", "5-55/10 * * * *", "command -v debian-sa1 > /dev/null && debian-sa1 1 1"),
)
_STARTS = "bash.bashrc profile.d/01-locale-fix.sh profile.d/bash_completion.sh update-motd.d/50-motd-news init.d/dbus"


_SERVICES = {"dockerd": "docker", "redis-server": "redis", "postgres": "postgresql"}


def sha(text: str) -> str:
    """A hash that stands for the content named."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def unit_rows(name: str, program: str, package: str, version: str = "1", **more: str) -> Iterator[tuple[str, Row]]:
    """A unit in the two inventories that have it."""
    folder = "/lib/systemd/system" if package else "/etc/systemd/system"
    path = f"{folder}/{name}.service"
    yield (
        "systemd_units",
        {
            "unit": f"{name}.service",
            "path": path,
            "directive": "ExecStart",
            "command": f"{program} {more.get('arguments', '')}".strip(),
            "run_as": "root",
            "restart": more.get("restart", ""),
            "triggers": "",
            "wanted_by": "multi-user.target",
            "is_enabled": "1",
            "is_masked": "0",
            "shadows": "",
            "package": package,
            "program_path": program,
            "program_package": package,
            "reasons": "",
            "unit_reasons": "",
        },
    )
    if not package or version != "1":
        yield (
            "unit_files",
            {
                "path": path,
                "unit": f"{name}.service",
                "scope": "system",
                "is_enabled": "1",
                "package": package,
                "owner_uid": "0",
                "mode": "0644",
                "sha256": sha(path + version),
            },
        )


def job_rows(path: str, schedule: str, command: str, package: str = "") -> Iterator[tuple[str, Row]]:
    """A job and the file that it stands in."""
    yield (
        "cron_jobs",
        {
            "scheduler": "cron",
            "path": path,
            "schedule": schedule,
            "run_as": "root",
            "command": command,
            "package": package,
            "program_path": next((word for word in command.split() if word.startswith("/")), ""),
            "program_package": package,
            "enabled": "1",
            "reasons": "",
            "program_reasons": "",
        },
    )
    yield (
        "cron_files",
        {
            "scheduler": "cron",
            "path": path,
            "owner_uid": "0",
            "mode": "0644",
            "sha256": sha(path),
            "package": package,
            "enabled": "1",
        },
    )


def key_row(name: str, user: str = "root") -> tuple[str, Row]:
    """A key that may log in."""
    return "authorized_keys", {
        "username": user,
        "account_uid": "0",
        "kind": "authorized_key",
        "path": f"/{user}/.ssh/authorized_keys",
        "key_type": "ssh-ed25519",
        "fingerprint": "SHA256:" + sha(name)[:43],
        "comment": name,
        "is_in_force": "1",
    }


def stock(image: Image, hostname: str) -> Iterator[tuple[str, Row]]:
    """Everything that the host has in its inventories when it is new."""
    for name in image.units.split():
        yield from unit_rows(name, f"/usr/sbin/{name.split('@')[0]}", name.split("@")[0])
    for path, schedule, command in _JOBS:
        yield from job_rows(path, schedule, command, "cron")
    # As configuration management writes it: the host's own name is in it.
    yield from job_rows(
        "/etc/cron.d/backup",
        f"{sum(hostname.encode()) % 60} 2 * * *",
        f"/usr/local/sbin/backup --host {hostname} --to s3://backups/{hostname}",
    )
    for name in _ACCOUNTS.split():
        yield (
            "accounts",
            {
                "username": name,
                "kind": "account",
                "account_uid": str(sum(name.encode()) % 900),
                "shell": "/usr/sbin/nologin",
                "home": "/nonexistent",
                "password_state": "locked",
            },
        )
    for name in _MODULES.split():
        yield "kernel_modules", {"module": name}
    for name in _STARTS.split():
        yield (
            "startup_commands",
            {
                "mechanism": "shell_rc" if "profile" in name or "bashrc" in name else "init",
                "trigger": "login",
                "path": f"/etc/{name}",
                "line": "0",
                "command": f"/etc/{name}",
                "program_path": f"/etc/{name}",
                "package": "base-files",
                "program_package": "base-files",
                "sha256": sha(name),
            },
        )
    for path in ("/etc/fstab", "/etc/ld.so.conf", "/etc/environment", "/etc/modules"):
        yield (
            "startup_files",
            {
                "path": path,
                "owner_uid": "0",
                "mode": "0644",
                "file_size": "400",
                "mtime": "1690000000",
                "sha256": sha(path + hostname),
            },
        )
    for name in ("deploy", "ops-jump-host"):
        yield key_row(name)
    for process, port, path in image.services:
        yield (
            "reachable_entry_services",
            {
                "process_name": process,
                "exe_path": path,
                "owner_uid": "0",
                "service": _SERVICES.get(process, process),
                "address": "0.0.0.0",
                "port": port,
                "auth_state": "required",
            },
        )


def packages(image: Image) -> list[Row]:
    """Some of the installed packages, by which hosts of one kind are known."""
    names = {name.split("@")[0] for name in image.units.split()} | {
        "bash",
        "coreutils",
        "openssl",
        "libc6",
        "sudo",
        f"{image.name}-role",
    }
    return [{"package_format": "deb", "package": name, "version": "1.0", "arch": "amd64"} for name in sorted(names)]
