"""Hardening checks of what keeps the system up: updates, reboots, audit and log daemons, Docker's socket."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.host.packages.apt_config import apt_setting
from tables.host.services.settings import is_true, last, property_entries
from tables.host.systemd.folders import wanted_link
from tables.reasons.hardening.checks import (
    Check,
    Outcome,
    any_unit_wanted,
    is_unit_masked,
    not_applicable,
    unknown,
)

_REBOOT_DAYS = 14
_AUDIT_DAEMONS = ("auditd", "auditbeat", "go-audit", "laurel", "falco", "tetragon")
_LOG_DAEMONS = ("rsyslogd", "syslog-ng", "systemd-journald", "syslogd", "metalog")


def _updates(host: Host) -> Outcome:
    files = host.files
    if files.exists("/etc/apt"):
        return _apt_updates(files)
    if any(files.exists(path) for path in ("/etc/dnf", "/etc/yum.conf", "/etc/yum")):
        return _dnf_updates(files)
    if files.exists("/etc/zypp"):
        return any_unit_wanted(files, ("transactional-update.timer", "os-update.timer", "yast-online-update.timer"))
    return not_applicable("no package manager that updates by itself is known here")


def _apt_updates(files: Files) -> Outcome:
    if not files.exists("/usr/bin/unattended-upgrade"):
        return Outcome(False, "unattended-upgrades is not installed")
    setting = apt_setting(files, "APT::Periodic::Unattended-Upgrade")
    if setting is None:
        return Outcome(False, "APT::Periodic::Unattended-Upgrade is not set")
    actual = f'APT::Periodic::Unattended-Upgrade "{setting.value}"'
    if is_unit_masked(files, "apt-daily-upgrade.timer"):
        return Outcome(False, "apt-daily-upgrade.timer is masked", "/etc/systemd/system/apt-daily-upgrade.timer")
    is_on = setting.value == "always" or (setting.value[:1].isdigit() and not re.fullmatch(r"0+[a-z]?", setting.value))
    return Outcome(is_on, actual, setting.path, setting.line)


def _dnf_updates(files: Files) -> Outcome:
    # The timer's own name says that it installs; the others do what the configuration says (dnf-automatic(8)).
    installing = wanted_link(files, "dnf-automatic-install.timer")
    if installing is not None:
        return Outcome(True, "dnf-automatic-install.timer is enabled", installing)
    for unit, paths in (
        ("dnf-automatic.timer", ("/etc/dnf/automatic.conf",)),
        ("dnf5-automatic.timer", ("/etc/dnf/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf")),
        ("yum-cron.service", ("/etc/yum/yum-cron.conf",)),
    ):
        wanted = wanted_link(files, unit)
        if wanted is None:
            continue
        for path in paths:
            if files.exists(path):
                entry = last(property_entries(files.read_text(path)), "apply_updates")
                actual = f"{unit} is enabled, apply_updates = {entry.value if entry else 'no (default)'}"
                return Outcome(entry is not None and is_true(entry.value), actual, path, entry.line if entry else None)
        return Outcome(False, f"{unit} is enabled, and nothing has it install what it finds", wanted)
    return Outcome(False, "neither dnf-automatic nor yum-cron is enabled")


def _reboot(host: Host) -> Outcome:
    if not host.is_live:
        return not_applicable("a mounted disk is not running")
    if not host.files.exists("/etc/apt"):
        return not_applicable("only Debian and its kin leave a note that a reboot is due")
    path = "/run/reboot-required"
    try:
        since = host.files.stat(path).st_mtime
    except Unreadable as error:
        if not error.is_missing:
            raise
        return Outcome(True, "no reboot is due")
    due = time.strftime("%Y-%m-%d", time.gmtime(since))
    return Outcome(time.time() - since <= _REBOOT_DAYS * 86400, f"a reboot is due since {due}", path)


def _daemon(programs: tuple[str, ...], units: tuple[str, ...], what: str) -> Callable[[Host], Outcome]:
    """A check that one of these programs runs; on a mounted disk, that one of the units would be started."""

    def look(host: Host) -> Outcome:
        if not host.is_live:
            return any_unit_wanted(host.files, units)
        if not host.truth.is_initial_pid_namespace:
            return not_applicable("in a container, for which the host does that")
        for process in host.truth.processes():
            name = (process.exe_path or "").rpartition("/")[2] or process.name
            if not process.is_kernel_thread and (name in programs or process.name in programs):
                return Outcome(True, f"{name} runs", process.exe_path)
        if host.truth.process(1) is None:
            return unknown("other users' processes are hidden from us (hidepid)")
        return Outcome(False, f"no {what} runs")

    return look


def _docker_socket(host: Host) -> Outcome:
    if not host.is_live:
        return not_applicable("a mounted disk has no sockets")
    try:
        mode = host.files.stat("/run/docker.sock").st_mode
    except Unreadable as error:
        if error.is_missing:
            return not_applicable("there is no Docker socket")
        raise
    return Outcome(not mode & 0o002, f"mode {mode & 0o7777:04o}", "/run/docker.sock")


CHECKS = (
    Check(
        "security_updates_automatic",
        "updates",
        "security updates install themselves",
        "unattended-upgrades, dnf-automatic or yum-cron set up to install",
        "Debian, Ubuntu: apt install unattended-upgrades && dpkg-reconfigure unattended-upgrades. "
        "EL: dnf install dnf-automatic && systemctl enable --now dnf-automatic-install.timer.",
        _updates,
    ),
    Check(
        "reboot_not_overdue",
        "updates",
        "the host runs what was updated",
        f"no reboot due for more than {_REBOOT_DAYS} days",
        "cat /run/reboot-required.pkgs says why; reboot in the next maintenance window.",
        _reboot,
    ),
    Check(
        "audit_running",
        "logging",
        "an audit daemon records what programs do",
        "auditd or another recorder of system calls runs",
        "apt install auditd, or dnf install audit; systemctl enable --now auditd. Miners stop it: who did?",
        _daemon(_AUDIT_DAEMONS, ("auditd.service",), "audit daemon"),
    ),
    Check(
        "system_log_running",
        "logging",
        "a system log is kept",
        "journald, rsyslog or syslog-ng runs",
        "systemctl enable --now systemd-journald rsyslog. Miners stop it: who did?",
        _daemon(_LOG_DAEMONS, ("rsyslog.service", "systemd-journald.service", "syslog-ng.service"), "system log"),
    ),
    Check(
        "docker_socket_protected",
        "docker",
        "only root and the docker group can command Docker",
        "/run/docker.sock not writable by everybody",
        "chmod 660 /run/docker.sock; chown root:docker /run/docker.sock; who made it writable?",
        _docker_socket,
    ),
)
