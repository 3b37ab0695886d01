"""What minehunt's tables say of a host beside what the host's own tools say: a list of pairs, each a set of lines.

Runs inside a guest: `python3 -m tests.kernels.comparisons` prints as JSON what only one side has, for each pair that differs.
A tool is asked before and after the table; what it says once is in doubt, as hosts change, and may be missing or not.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tables.host.settings import Settings


@dataclass(frozen=True)
class Comparison:
    """A statement of SQL and a shell command that give the same lines."""

    name: str
    sql: str
    command: str


COMPARISONS = (
    Comparison(
        "units over D-Bus",
        "SELECT id, load_state, active_state FROM systemd_units",
        "systemctl list-units --all --plain --no-legend --full | awk '{print $1, $2, $3}'",
    ),
    Comparison(
        "unit files",
        "SELECT DISTINCT id FROM systemd_units WHERE unit_file_state = 'enabled' AND id NOT LIKE '%@%'",
        "systemctl show -p Id,UnitFileState -- $(systemctl list-units --all --plain --no-legend --full | awk '{print $1}')"
        ' | awk \'BEGIN {RS = ""} /UnitFileState=enabled/ && !/=enabled-/ {sub(/.*Id=/, ""); sub(/\\n.*/, ""); print}\''
        " | grep -v @",
    ),
    # osquery reads a name such as `tmux: server` without the blank.
    Comparison("processes", "SELECT pid, name FROM processes", "ps -e -o pid=,comm= | grep -v ' ps$' | sed 's/: */:/g'"),
    Comparison(
        "listening sockets",
        "SELECT DISTINCT protocol, port FROM listening_ports WHERE protocol IN (6, 17) AND port > 0",
        'ss -Hlntu | awk \'{n = split($5, part, ":"); print ($1 == "tcp" ? 6 : 17), part[n]}\'',
    ),
    Comparison("mounts", "SELECT path, type FROM mounts", "findmnt --raw --noheadings --output TARGET,FSTYPE"),
    Comparison("kernel modules", "SELECT name, used_by FROM kernel_modules", "awk '{print $1, $4}' /proc/modules | sed 's/,$//'"),
    Comparison(
        "packages",
        "SELECT name, version FROM deb_packages",
        "dpkg-query --show --showformat '${db:Status-Status} ${Package} ${Version}\\n' | sed -n 's/^installed //p'",
    ),
    Comparison(
        "pending updates",
        "SELECT package, available_version FROM pending_updates",
        "apt list --upgradable 2>/dev/null | sed -n 's,^\\([^/]*\\)/[^ ]* \\([^ ]*\\) .*,\\1 \\2,p'",
    ),
    Comparison("accounts", "SELECT username, uid FROM users", "getent passwd | awk -F: '{print $1, $3}'"),
    Comparison(
        "logins in wtmp",
        "SELECT DISTINCT username, tty FROM last WHERE type = 7",
        'last --fullnames | awk \'NF > 3 && $1 != "reboot" && $1 != "wtmp" {print $1, $2}\'',
    ),
    Comparison("who is logged in", "SELECT user, tty FROM logged_in_users WHERE type = 'user'", "who | awk '{print $1, $2}'"),
    Comparison(
        "ssh logins in the journal",
        "SELECT COALESCE(SUM(successes), 0) FROM login_failures WHERE service = 'sshd'",
        "journalctl --quiet --identifier sshd --output cat | grep -c '^Accepted ' || true",
    ),
    Comparison(
        "failures of unknown accounts at ssh in the journal",
        "SELECT COALESCE(SUM(failures), 0) FROM login_failures WHERE service = 'sshd' AND invalid_user = 1",
        "journalctl --quiet --identifier sshd --output cat | grep -c '^Invalid user ' || true",
    ),
    Comparison(
        "hardening of ssh",
        "SELECT LOWER(REPLACE(actual, ' (default)', '')) FROM hardening_checks WHERE category = 'ssh'",
        "sshd -T | grep -E '^(permitrootlogin|passwordauthentication|permitemptypasswords|maxauthtries) '"
        " | sed 's/without-password/prohibit-password/'",
    ),
    Comparison(
        "logs and updates that are on",
        "SELECT check_id, passed FROM hardening_checks"
        " WHERE check_id IN ('audit_running', 'system_log_running', 'security_updates_automatic')",
        'on() { if "$@" > /dev/null; then echo 1; else echo 0; fi; }; echo audit_running $(on systemctl is-active auditd);'
        " echo system_log_running $(on systemctl is-active rsyslog);"
        " echo security_updates_automatic $(on grep -q 1 <(apt-config dump APT::Periodic::Unattended-Upgrade))",
    ),
    Comparison(
        "kernel settings",
        "SELECT name, current_value FROM system_controls WHERE name IN ('fs.protected_symlinks', 'kernel.dmesg_restrict',"
        " 'kernel.kptr_restrict', 'kernel.modules_disabled', 'kernel.pid_max')",
        "sysctl fs.protected_symlinks kernel.dmesg_restrict kernel.kptr_restrict kernel.modules_disabled kernel.pid_max"
        " | sed 's/ = / /'",
    ),
)


@dataclass(frozen=True)
class Difference:
    """What only the table and only the tool has, or why one of them failed."""

    name: str
    only_table: list[str]
    only_tool: list[str]
    error: str = ""


def compare(engine: EmbeddedEngine, comparison: Comparison) -> Difference:
    """What differs beyond doubt."""
    try:
        before = _said(comparison)
        ours = {_line(" ".join(str(value or "") for value in row.values())) for row in engine.query(comparison.sql)}
        after = _said(comparison)
    except Exception as error:
        return Difference(comparison.name, [], [], f"{type(error).__name__}: {error}")
    return Difference(comparison.name, sorted(ours - before - after), sorted((before & after) - ours))


def _said(comparison: Comparison) -> set[str]:
    done = subprocess.run(["bash", "-c", comparison.command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode and not done.stdout:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()}")
    return {_line(line) for line in done.stdout.splitlines() if line.strip()}


def _line(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    """Print all differences, and how many pairs there are."""
    engine = EmbeddedEngine(Host(settings=Settings.from_environment()))
    found = [vars(compare(engine, each)) for each in COMPARISONS]
    print(json.dumps({"pairs": len(found), "differences": [each for each in found if any(list(each.values())[1:])]}))


if __name__ == "__main__":
    main()
