"""Every hardening check passes where the real thing is as it should be, fails where it is not, and never guesses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from extension.engines import EngineError
from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack
from tables.errors import TableError
from tables.hardening.hardening_checks import CHECKS, HardeningCheck, hardening_checks
from tables.host import Host
from tables.schema import QueryContext
from tests.support.namespaces import REPOSITORY, run_in_namespaces
from tests.support.scans import unseen_by

SSHD = "/etc/ssh/sshd_config"
MAIN = "Include /etc/ssh/sshd_config.d/*.conf\n"
PAM = "/etc/pam.d/common-password"
UNIX = "password [success=1 default=ignore] pam_unix.so obscure {}\n"
QUALITY = "password requisite pam_pwquality.so retry=3 {}\n"
TIMERS = "/etc/systemd/system/timers.target.wants"
APT = "/etc/apt/apt.conf.d/20auto-upgrades"
UNATTENDED = {"/usr/bin/unattended-upgrade": "", "/etc/apt/sources.list": ""}
LINK = "-> /dev/null"

# Check, files of a host on which it passes.
PASSING = [
    ("sshd_root_login", {SSHD: "PermitRootLogin no\nPermitRootLogin yes\n"}),
    ("sshd_root_login", {SSHD: "#PermitRootLogin yes\n"}),
    ("sshd_root_login", {SSHD: MAIN + "PermitRootLogin yes\n", f"{SSHD}.d/10-a.conf": "PermitRootLogin without-password\n"}),
    ("sshd_password_login", {SSHD: "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM yes\n"}),
    ("sshd_password_login", {SSHD: "PasswordAuthentication no\n"}),
    ("sshd_password_login", {SSHD: "AuthenticationMethods publickey,keyboard-interactive\n"}),
    ("sshd_empty_passwords", {SSHD: ""}),
    ("sshd_login_attempts", {SSHD: "MaxAuthTries 4\n"}),
    ("password_quality_checked", {PAM: QUALITY.format("") + UNIX.format("yescrypt")}),
    ("password_quality_checked", {"/etc/pam.d/passwd": "@include common-password\n", PAM: "password required pam_passwdqc.so\n"}),
    (
        "password_quality_checked",
        {"/etc/pam.d/passwd": "password substack system-auth\n", "/etc/pam.d/system-auth": QUALITY.format("")},
    ),
    ("password_min_length", {PAM: QUALITY.format("minlen=14")}),
    ("password_min_length", {PAM: QUALITY.format(""), "/etc/security/pwquality.conf": "# minlen = 8\nminlen = 12\n"}),
    ("password_min_length", {PAM: QUALITY.format(""), "/etc/security/pwquality.conf.d/a.conf": "minlen=15\n"}),
    ("password_min_length", {PAM: UNIX.format("minlen=12")}),
    ("login_lockout", {"/etc/pam.d/common-auth": "auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n"}),
    ("password_hash", {PAM: UNIX.format("yescrypt")}),
    ("password_hash", {PAM: UNIX.format(""), "/etc/login.defs": "ENCRYPT_METHOD SHA512\n"}),
    ("password_max_age", {"/etc/login.defs": "PASS_MAX_DAYS\t90\n"}),
    ("security_updates_automatic", {**UNATTENDED, APT: 'APT::Periodic::Unattended-Upgrade "1";\n'}),
    ("security_updates_automatic", {**UNATTENDED, APT: 'APT { Periodic { /* twice */ Unattended-Upgrade "2d"; }; };\n'}),
    ("security_updates_automatic", {"/etc/dnf/dnf.conf": "", f"{TIMERS}/dnf-automatic-install.timer": LINK}),
    (
        "security_updates_automatic",
        {"/etc/dnf/automatic.conf": "[commands]\napply_updates = yes\n", f"{TIMERS}/dnf-automatic.timer": LINK},
    ),
    ("firewall_active", {"/etc/ufw/ufw.conf": "ENABLED=yes\n"}),
    ("firewall_active", {"/etc/systemd/system/multi-user.target.wants/firewalld.service": LINK}),
    ("tmp_noexec", {"/etc/fstab": "tmpfs /tmp tmpfs rw,nosuid,nodev,noexec 0 0\n"}),
    ("var_tmp_noexec", {"/etc/fstab": "# x\n/tmp /var/tmp none bind,noexec,nosuid,nodev 0 0\n"}),
    ("shared_memory_noexec", {"/etc/fstab": "tmpfs /dev/shm tmpfs noexec,nosuid,nodev\n"}),
    (
        "kernel_pointers_hidden",
        {"/usr/lib/sysctl.d/50-a.conf": "kernel.kptr_restrict=0\n", "/etc/sysctl.d/60-b.conf": "kernel/kptr_restrict = 2\n"},
    ),
    ("kernel_log_restricted", {"/etc/sysctl.conf": "kernel.dmesg_restrict = 1\n"}),
    ("unprivileged_bpf_off", {"/etc/sysctl.d/a.conf": "-kernel.unprivileged_bpf_disabled = 1\n"}),
    ("ptrace_restricted", {"/usr/lib/sysctl.d/10-ptrace.conf": "kernel.yama.ptrace_scope = 1\n"}),
    ("address_layout_random", {"/etc/sysctl.d/a.conf": "kernel.randomize_va_space=2\n"}),
    ("audit_running", {"/etc/systemd/system/multi-user.target.wants/auditd.service": LINK}),
    ("system_log_running", {"/usr/lib/systemd/system/sysinit.target.wants/systemd-journald.service": LINK}),
    (
        "hosts_file_untampered",
        {"/etc/hosts": "127.0.0.1 localhost\n0.0.0.0 ads.example.com pool.minexmr.com\n10.0.0.9 security.ubuntu.com\n"},
    ),
    ("hosts_file_untampered", {}),
]
# Check, files of a host on which it fails, what `actual` must say, and where.
FAILING = [
    (
        "sshd_root_login",
        {SSHD: MAIN, f"{SSHD}.d/50-x.conf": "\nPermitRootLogin yes\n"},
        "permitrootlogin yes",
        f"{SSHD}.d/50-x.conf:2",
    ),
    (
        "sshd_root_login",
        {SSHD: "PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n"},
        "Match address 10.0.0.0/8",
        f"{SSHD}:3",
    ),
    ("sshd_password_login", {SSHD: ""}, "(default)", ""),
    ("sshd_password_login", {SSHD: "PasswordAuthentication no\nUsePAM yes\n"}, "passwordauthentication no", f"{SSHD}:1"),
    ("sshd_empty_passwords", {SSHD: "permitemptypasswords=yes\n"}, "permitemptypasswords yes", f"{SSHD}:1"),
    ("sshd_login_attempts", {SSHD: "MaxAuthTries 100\n"}, "maxauthtries 100", f"{SSHD}:1"),
    ("password_quality_checked", {PAM: "#" + QUALITY.format("") + UNIX.format("yescrypt")}, "no module", ""),
    ("password_min_length", {PAM: QUALITY.format("")}, "minlen 8 (default)", f"{PAM}:1"),
    (
        "password_min_length",
        {PAM: QUALITY.format(""), "/etc/security/pwquality.conf": "minlen = 6\n"},
        "minlen 6",
        "/etc/security/pwquality.conf:1",
    ),
    ("password_min_length", {PAM: UNIX.format("yescrypt")}, "nothing sets", ""),
    (
        "login_lockout",
        {"/etc/pam.d/common-auth": "auth sufficient pam_unix.so\naccount required pam_faillock.so\n"},
        "no module",
        "",
    ),
    ("password_hash", {PAM: UNIX.format("md5")}, "md5", f"{PAM}:1"),
    ("password_hash", {PAM: UNIX.format(""), "/etc/login.defs": "# x\nENCRYPT_METHOD DES\n"}, "DES", "/etc/login.defs:2"),
    ("password_max_age", {"/etc/login.defs": "PASS_MAX_DAYS 99999\n"}, "99999", "/etc/login.defs:1"),
    (
        "security_updates_automatic",
        {"/etc/apt/sources.list": "", APT: 'APT::Periodic::Unattended-Upgrade "1";'},
        "not installed",
        "",
    ),
    ("security_updates_automatic", {**UNATTENDED, APT: '// APT::Periodic::Unattended-Upgrade "1";\n'}, "not set", ""),
    (
        "security_updates_automatic",
        {
            **UNATTENDED,
            APT: 'APT::Periodic::Unattended-Upgrade "1";\n',
            "/etc/apt/apt.conf.d/99off": '\napt::periodic::unattended-upgrade "0";\n',
        },
        '"0"',
        "/etc/apt/apt.conf.d/99off:2",
    ),
    (
        "security_updates_automatic",
        {**UNATTENDED, APT: 'APT::Periodic::Unattended-Upgrade "1";\n', "/etc/systemd/system/apt-daily-upgrade.timer": LINK},
        "masked",
        "/etc/systemd/system/apt-daily-upgrade.timer",
    ),
    (
        "security_updates_automatic",
        {"/etc/dnf/automatic.conf": "apply_updates = no\n", f"{TIMERS}/dnf-automatic.timer": LINK},
        "apply_updates = no",
        "/etc/dnf/automatic.conf:1",
    ),
    ("security_updates_automatic", {"/etc/dnf/automatic.conf": "apply_updates = yes\n"}, "neither", ""),
    ("firewall_active", {"/etc/ufw/ufw.conf": "ENABLED=no\n"}, "none of", ""),
    ("tmp_noexec", {"/etc/fstab": "tmpfs /tmp tmpfs rw,nosuid,nodev 0 0\n"}, "without noexec", "/etc/fstab:1"),
    ("tmp_noexec", {}, "no mount of its own", ""),
    ("var_tmp_noexec", {"/etc/fstab": "#tmpfs /var/tmp tmpfs noexec,nosuid,nodev\n"}, "no mount of its own", ""),
    ("shared_memory_noexec", {"/etc/fstab": "tmpfs /dev/shm tmpfs noexec\n"}, "without nosuid, nodev", "/etc/fstab:1"),
    (
        "kernel_pointers_hidden",
        {"/usr/lib/sysctl.d/a.conf": "kernel.kptr_restrict=1\n", "/etc/sysctl.d/a.conf": "kernel.kptr_restrict=0\n"},
        "= 0",
        "/etc/sysctl.d/a.conf:1",
    ),
    ("kernel_log_restricted", {"/etc/sysctl.conf": "kernel.dmesg_restrict = 0\n"}, "= 0", "/etc/sysctl.conf:1"),
    ("unprivileged_bpf_off", {"/etc/sysctl.d/a.conf": "kernel.unprivileged_bpf_disabled = 0\n"}, "= 0", "/etc/sysctl.d/a.conf:1"),
    ("ptrace_restricted", {"/etc/sysctl.d/a.conf": "kernel.yama.ptrace_scope = 0\n"}, "= 0", "/etc/sysctl.d/a.conf:1"),
    ("address_layout_random", {"/etc/sysctl.d/a.conf": "kernel.randomize_va_space = 1\n"}, "= 1", "/etc/sysctl.d/a.conf:1"),
    ("audit_running", {"/usr/lib/systemd/system/auditd.service": ""}, "none of", ""),
    ("system_log_running", {}, "none of", ""),
    (
        "hosts_file_untampered",
        {"/etc/hosts": "127.0.0.1 localhost\n0.0.0.0 a.example UPDATE.aegis.aliyun.com  # x\n"},
        "aegis.aliyun.com 0.0.0.0",
        "/etc/hosts:2",
    ),
    ("hosts_file_untampered", {"/etc/hosts": "::1 security.debian.org.\n"}, "security.debian.org. ::1", "/etc/hosts:1"),
]
# What only a running host shows; planted in namespaces below.
LIVE = {"reboot_not_overdue", "module_loading_restricted", "msr_writes_off", "docker_socket_protected"}
NOT_APPLICABLE = [
    "sshd_root_login",
    "password_quality_checked",
    "password_hash",
    "password_max_age",
    "security_updates_automatic",
    *sorted(LIVE),
]


def plant(root: Path, files: dict[str, str]) -> Host:
    for path, text in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text == LINK:
            target.symlink_to("/dev/null")
        else:
            target.write_text(text)
    return Host(str(root))


def check(host: Host, check_id: str) -> HardeningCheck:
    (row,) = [row for row in hardening_checks.generate(host, QueryContext()) if row.check_id == check_id]
    return row


def by_name(host: Host, check_id: str) -> list[dict[str, str]]:
    return EmbeddedEngine(host).query(f"SELECT * FROM hardening_checks WHERE check_id = '{check_id}'")


@pytest.mark.parametrize(("check_id", "files"), PASSING)
def test_passes(tmp_path: Path, check_id: str, files: dict[str, str]) -> None:
    row = check(plant(tmp_path, files), check_id)
    assert (row.applies, row.passed, row.why_unknown) == (True, True, None), row.actual
    assert row.actual


@pytest.mark.parametrize(("check_id", "files", "actual", "where"), FAILING)
def test_fails(tmp_path: Path, check_id: str, files: dict[str, str], actual: str, where: str) -> None:
    row = check(plant(tmp_path, files), check_id)
    assert (row.applies, row.passed) == (True, False), row
    assert row.actual is not None and actual in row.actual
    assert ":".join(str(part) for part in (row.path, row.line) if part is not None) == where


@pytest.mark.parametrize("check_id", NOT_APPLICABLE)
def test_does_not_apply_to_an_empty_disk(tmp_path: Path, check_id: str) -> None:
    row = check(Host(str(tmp_path)), check_id)
    assert (row.applies, row.passed) == (False, None)
    assert row.actual


def test_every_check_is_seen_to_pass_and_to_fail() -> None:
    every = {one.check_id for one in CHECKS}
    assert every == {case[0] for case in PASSING} | LIVE == {case[0] for case in FAILING} | LIVE
    assert len(every) == len(CHECKS)


def test_every_check_has_a_policy_of_its_name() -> None:
    queries = {query.name: query for query in load_pack(REPOSITORY / "packs" / "cryptominer_triage").queries()}
    for one in CHECKS:
        assert queries[one.check_id].kind == "policy"
        assert f"check_id = '{one.check_id}'" in queries[one.check_id].sql


@pytest.mark.parametrize(
    ("check_id", "path"),
    [
        ("sshd_root_login", SSHD),
        ("password_max_age", "/etc/login.defs"),
        ("hosts_file_untampered", "/etc/hosts"),
        ("tmp_noexec", "/etc/fstab"),
    ],
)
def test_what_cannot_be_read_neither_passes_nor_fails(tmp_path: Path, check_id: str, path: str) -> None:
    (tmp_path / path.lstrip("/")).parent.mkdir(parents=True)
    os.mkfifo(tmp_path / path.lstrip("/"))
    host = Host(str(tmp_path))
    row = check(host, check_id)
    assert (row.applies, row.passed) == (True, None)
    assert row.why_unknown is not None and path in row.why_unknown
    assert any(path in text for text in unseen_by(hardening_checks, host))
    context = QueryContext.from_wire(f'{{"constraints": [{{"name": "check_id", "list": [{{"op": 2, "expr": "{check_id}"}}]}}]}}')
    with pytest.raises(TableError, match=f"{check_id} could not look: .*{path}"):
        list(hardening_checks.generate(host, context))
    with pytest.raises(EngineError, match="could not look"):
        by_name(host, check_id)


def test_asking_for_a_check_gives_that_one(tmp_path: Path) -> None:
    host = plant(tmp_path, {"/etc/hosts": "127.0.0.1 localhost\n"})
    assert [row["check_id"] for row in by_name(host, "hosts_file_untampered")] == ["hosts_file_untampered"]
    assert by_name(host, "no_such_check") == []


LOOK = """
def look(check_id):
    (row,) = query("SELECT applies, passed, actual FROM hardening_checks WHERE check_id = '" + check_id + "'")
    return [row["applies"], row["passed"], row["actual"]]
"""


def in_namespaces(body: str, *flags: str) -> Any:
    return run_in_namespaces(LOOK + body, *flags)


@pytest.mark.root
def test_docker_socket() -> None:
    body = """
import socket
mount("none", "/run", "tmpfs", 0)
found = [look("docker_socket_protected")]
server = socket.socket(socket.AF_UNIX)
server.bind("/run/docker.sock")
for mode in (0o660, 0o666):
    os.chmod("/run/docker.sock", mode)
    found.append(look("docker_socket_protected"))
answer(found)
"""
    assert [row[:2] for row in in_namespaces(body)] == [["0", ""], ["1", "1"], ["1", "0"]]


@pytest.mark.root
def test_reboot() -> None:
    body = """
mount("none", "/run", "tmpfs", 0)
mount("none", "/etc", "tmpfs", 0)
os.mkdir("/etc/apt")
found = [look("reboot_not_overdue")]
open("/run/reboot-required", "w").close()
found.append(look("reboot_not_overdue"))
os.utime("/run/reboot-required", (1e9, 1e9))
found.append(look("reboot_not_overdue"))
answer(found)
"""
    found = in_namespaces(body)
    assert [row[:2] for row in found] == [["1", "1"], ["1", "1"], ["1", "0"]]
    assert found[2][2] == "a reboot is due since 2001-09-09"


@pytest.mark.root
def test_msr_writes() -> None:
    body = """
mount("none", "/sys/module", "tmpfs", 0)
found = [look("msr_writes_off")]
os.makedirs("/sys/module/msr/parameters")
for value in ("default", "on"):
    with open("/sys/module/msr/parameters/allow_writes", "w") as file:
        file.write(value + chr(10))
    found.append(look("msr_writes_off"))
answer(found)
"""
    assert [row[:2] for row in in_namespaces(body)] == [["1", "1"], ["1", "1"], ["1", "0"]]


@pytest.mark.root
def test_module_loading() -> None:
    body = """
mount("none", "/sys/module", "tmpfs", 0)
mount("none", "/sys/kernel/security", "tmpfs", 0) if os.path.isdir("/sys/kernel/security") else None
found = [look("module_loading_restricted")]
os.makedirs("/sys/module/module/parameters")
with open("/sys/module/module/parameters/sig_enforce", "w") as file:
    file.write("Y" + chr(10))
found.append(look("module_loading_restricted"))
answer(found)
"""
    found = in_namespaces(body)
    if not Path("/proc/modules").exists():
        assert [row[:2] for row in found] == [["0", ""], ["0", ""]]
    elif Path("/proc/sys/kernel/modules_disabled").read_text().strip() == "0":
        assert [row[:2] for row in found] == [["1", "0"], ["1", "1"]]


@pytest.mark.root
@pytest.mark.parametrize(("options", "passed"), [(2 | 4 | 8, "1"), (2 | 4, "0")])
def test_live_mount_options(options: int, passed: str) -> None:
    body = f"""
mount("none", "/dev/shm", "tmpfs", {options})
answer(look("shared_memory_noexec"))
"""
    assert in_namespaces(body, "--pid", "--fork", "--mount-proc")[:2] == ["1", passed]


@pytest.mark.root
def test_live_settings_and_daemons_are_looked_at() -> None:
    rows = {row.check_id: row for row in hardening_checks.generate(Host(), QueryContext())}
    with open("/proc/sys/kernel/randomize_va_space") as file:
        assert rows["address_layout_random"].passed == (file.read().strip() == "2")
    assert rows["audit_running"].actual and rows["system_log_running"].actual
    assert all(row.why_unknown is None for row in rows.values())


def test_an_ordinary_user_is_told_what_could_not_be_looked_at() -> None:
    if os.geteuid() == 0:
        pytest.skip("this is about users without root's rights")
    rows = {row.check_id: row for row in hardening_checks.generate(Host(), QueryContext())}
    assert rows["firewall_active"].passed is None


@pytest.mark.parametrize(
    "check_id",
    ["kernel_pointers_hidden", "kernel_log_restricted", "unprivileged_bpf_off", "ptrace_restricted", "address_layout_random"],
)
def test_a_mounted_disk_that_sets_nothing_leaves_the_kernels_default_to_a_running_one(tmp_path: Path, check_id: str) -> None:
    row = check(Host(str(tmp_path)), check_id)
    assert (row.applies, row.passed, row.why_unknown) == (0, None, None)
    assert "no file sets kernel." in (row.actual or "")
