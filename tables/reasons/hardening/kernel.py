"""Hardening checks of the kernel: its packet filter, mount options, settings, and what can be loaded into it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Optional

from tables.host import Host
from tables.host.disk.files import Files, Unreadable
from tables.host.kernel.settings import kernel_setting
from tables.host.network.packet_filter import input_chains
from tables.host.services.settings import is_true, last, property_entries
from tables.reasons.hardening.checks import Check, Outcome, any_unit_wanted, not_applicable, unknown

_NUMBER = re.compile(r"-?\d{1,18}")
_LOCKDOWN = re.compile(r"\[(\w+)\]")
# fail2ban's own table holds the addresses that it bans, and is no firewall.
_BAN_TABLE = "f2b"
_TMP_MOUNT = "systemctl enable --now tmp.mount with Options=mode=1777,strictatime,noexec,nosuid,nodev; some installers need /tmp."
_FSTAB = "mount -o remount,noexec,nosuid,nodev {0}, and the same options for {0} in /etc/fstab."


def _firewall(host: Host) -> Outcome:
    if not host.is_live:
        return _configured_firewall(host.files)
    if not host.truth.is_initial_pid_namespace:
        return not_applicable("in a container, whose packets the host filters")
    try:
        chains = [chain for chain in input_chains(host) if not chain.table.startswith(_BAN_TABLE)]
    except OSError as error:
        return unknown(f"the kernel's packet filter cannot be read: {error.strerror or error}")
    named = [f"{chain.family} {chain.table} {chain.chain}" for chain in chains if chain.rules or chain.drops]
    if named:
        return Outcome(True, f"rules for incoming packets in {', '.join(named[:5])}")
    return Outcome(False, "no rule for incoming packets in nftables or ip_tables")


def _configured_firewall(files: Files) -> Outcome:
    if files.exists("/etc/ufw/ufw.conf"):
        entry = last(property_entries(files.read_text("/etc/ufw/ufw.conf")), "ENABLED")
        if entry and is_true(entry.value):
            return Outcome(True, "ufw is enabled", "/etc/ufw/ufw.conf", entry.line)
    units = ("firewalld.service", "nftables.service", "netfilter-persistent.service", "iptables.service")
    return any_unit_wanted(files, units)


def _mount_options(folder: str) -> Callable[[Host], Outcome]:
    def look(host: Host) -> Outcome:
        found = _live_options(host, folder) if host.is_live else _fstab_options(host.files, folder)
        if found is None:
            return Outcome(False, f"{folder} is no mount of its own")
        options, path, line = found
        missing = [option for option in ("noexec", "nosuid", "nodev") if option not in options.split(",")]
        return Outcome(not missing, f"{options}; without {', '.join(missing)}" if missing else options, path, line)

    return look


def _live_options(host: Host, folder: str) -> Optional[tuple[str, str, Optional[int]]]:
    for process in ("1", "self"):
        mounts = list(host.truth.mounts(process))
        if mounts:
            # Of several mounts over each other the last one is seen.
            options = [mount.options for mount in mounts if mount.mount_point == folder]
            return (options[-1], f"/proc/{process}/mountinfo", None) if options else None
    raise OSError(f"/proc/self/mountinfo: the mount that {folder} is on cannot be read")


def _fstab_options(files: Files, folder: str) -> Optional[tuple[str, str, Optional[int]]]:
    try:
        lines = files.read_text("/etc/fstab").split("\n")
    except Unreadable as error:
        if error.is_missing:
            return None
        raise
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if len(fields) >= 4 and fields[1] == folder:
            return fields[3], "/etc/fstab", number
    return None


def _setting_at_least(name: str, least: int, without: Optional[bool] = None) -> Callable[[Host], Outcome]:
    """A check of a numeric kernel setting; `without` says what it means that the kernel has no such setting."""

    def look(host: Host) -> Outcome:
        found = kernel_setting(host, name)
        if found is None:
            if not host.is_live:
                return not_applicable(f"no file sets {name}; what the kernel's default is, only a running one tells")
            return unknown(f"the kernel has no {name}") if without is None else Outcome(without, f"the kernel has no {name}")
        passed = _NUMBER.fullmatch(found.value) is not None and int(found.value) >= least
        return Outcome(passed, f"{name} = {found.value}", found.path, found.line)

    return look


def _module_loading(host: Host) -> Outcome:
    if not host.is_live:
        return not_applicable("a mounted disk has no running kernel")
    if host.truth.try_read("modules", 1) is None:
        return not_applicable("the kernel loads no modules")
    disabled = kernel_setting(host, "kernel.modules_disabled")
    if disabled is not None and disabled.value == "1":
        return Outcome(True, "kernel.modules_disabled = 1", disabled.path)
    enforced = _sys_text(host.files, "/sys/module/module/parameters/sig_enforce")
    if enforced == "Y":
        return Outcome(True, "module signatures are enforced", "/sys/module/module/parameters/sig_enforce")
    lockdown = _LOCKDOWN.search(_sys_text(host.files, "/sys/kernel/security/lockdown") or "")
    if lockdown is not None and lockdown[1] != "none":
        return Outcome(True, f"lockdown {lockdown[1]}", "/sys/kernel/security/lockdown")
    return Outcome(False, "root can load any module")


def _sys_text(files: Files, path: str) -> Optional[str]:
    """The text of a file of sysfs; None when the kernel has no such file."""
    try:
        return files.read_text(path, 4096).strip()
    except Unreadable as error:
        if error.is_missing:
            return None
        raise


def _msr_writes(host: Host) -> Outcome:
    if not host.is_live:
        return not_applicable("a mounted disk has no running kernel")
    path = "/sys/module/msr/parameters/allow_writes"
    value = _sys_text(host.files, path)
    if value is None:
        return Outcome(True, "the msr driver is not loaded")
    return Outcome(value != "on", f"allow_writes = {value}", path)


def _mount_check(check_id: str, folder: str, remedy: str) -> Check:
    title = f"no program can be run from {folder}"
    return Check(check_id, "mounts", title, "a mount of its own with noexec, nosuid and nodev", remedy, _mount_options(folder))


def _sysctl_check(check_id: str, title: str, name: str, least: int, without: Optional[bool] = None) -> Check:
    remedy = f"sysctl -w {name}={least}, and the same line in /etc/sysctl.d/90-hardening.conf."
    return Check(check_id, "kernel", title, f"{name} >= {least}", remedy, _setting_at_least(name, least, without))


CHECKS = (
    Check(
        "firewall_active",
        "firewall",
        "the kernel filters incoming packets",
        "a rule or a drop policy for incoming packets",
        "ufw default deny incoming && ufw allow OpenSSH && ufw enable, or systemctl enable --now firewalld.",
        _firewall,
    ),
    _mount_check("tmp_noexec", "/tmp", _TMP_MOUNT),  # noqa: S108
    _mount_check("var_tmp_noexec", "/var/tmp", _FSTAB.format("/var/tmp")),  # noqa: S108
    _mount_check("shared_memory_noexec", "/dev/shm", _FSTAB.format("/dev/shm")),  # noqa: S108
    _sysctl_check("kernel_pointers_hidden", "kernel addresses are hidden from users", "kernel.kptr_restrict", 1),
    _sysctl_check("kernel_log_restricted", "ordinary users cannot read the kernel's log", "kernel.dmesg_restrict", 1),
    _sysctl_check(
        "unprivileged_bpf_off", "ordinary users cannot load BPF programs", "kernel.unprivileged_bpf_disabled", 1, without=True
    ),
    _sysctl_check(
        "ptrace_restricted", "a program cannot change its neighbours' memory", "kernel.yama.ptrace_scope", 1, without=False
    ),
    _sysctl_check("address_layout_random", "programs are loaded at random addresses", "kernel.randomize_va_space", 2),
    Check(
        "module_loading_restricted",
        "kernel",
        "not every kernel module can be loaded",
        "modules_disabled, enforced signatures or lockdown",
        "Boot with module.sig_enforce=1 or lockdown=integrity, or sysctl -w kernel.modules_disabled=1 once all is loaded.",
        _module_loading,
    ),
    Check(
        "msr_writes_off",
        "kernel",
        "programs cannot rewrite processor registers as RandomX miners do",
        "msr driver not loaded, or allow_writes not on",
        "modprobe -r msr; remove msr from /etc/modules-load.d, allow_writes from /etc/modprobe.d and the kernel's command line.",
        _msr_writes,
    ),
)
