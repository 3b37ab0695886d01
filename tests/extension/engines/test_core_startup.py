"""The core tables about what starts by itself and who may: crontab, startup_items, systemd_units, sudoers."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from extension.engines.core import cron, startup, sudoers
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support.core_tables import PlantedHost


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    return PlantedHost(tmp_path)


def test_crontab_as_recorded(planted: PlantedHost) -> None:
    e2scrub = "/usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron"
    planted.plant(
        "/etc/cron.d/e2scrub_all",
        f"30 3 * * 0 root test -e /run/systemd/system || SERVICE_MODE=1 {e2scrub}\n"
        "10 3 * * * root test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r\n",
    )
    planted.plant(
        "/etc/cron.d/sample", "*/5 * * * * www-data /usr/bin/php /srv/x.php >/dev/null 2>&1\n@reboot root /srv/boot.sh\n"
    )
    assert planted.query("SELECT * FROM crontab") == [
        {"command": f"root test -e /run/systemd/system || SERVICE_MODE=1 {e2scrub}", "day_of_month": "*", "day_of_week": "0",
         "event": "", "hour": "3", "minute": "30", "month": "*", "path": "/etc/cron.d/e2scrub_all"},
        {"command": "root test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r", "day_of_month": "*",
         "day_of_week": "*", "event": "", "hour": "3", "minute": "10", "month": "*", "path": "/etc/cron.d/e2scrub_all"},
        {"command": "www-data /usr/bin/php /srv/x.php >/dev/null 2>&1", "day_of_month": "*", "day_of_week": "*", "event": "",
         "hour": "*", "minute": "*/5", "month": "*", "path": "/etc/cron.d/sample"},
        {"command": "root /srv/boot.sh", "day_of_month": "", "day_of_week": "", "event": "@reboot", "hour": "", "minute": "",
         "month": "", "path": "/etc/cron.d/sample"},
    ]  # fmt: skip


def test_crontab_files_and_forms(planted: PlantedHost) -> None:
    planted.plant("/etc/crontab", "SHELL=/bin/sh\n# c\n\n  17 *\t* * *   root  cd /   &&  run-parts\n1 2 3 4 5\n")
    planted.plant("/var/spool/cron/root", "* * * * * /centos\n")
    planted.plant("/var/spool/cron/crontabs/alice", "PATH=/a b c d e f\n* * * * * /debian\n")
    planted.plant("/etc/cron.d/.hidden", "* * * * * root /unseen\n")
    planted.plant("/etc/cron.d/sub/nested", "* * * * * root /unseen\n")
    planted.plant("/var/spool/cron/tabs/suse", "* * * * * /unseen\n")
    planted.path("/etc/cron.d/gone").symlink_to("nowhere")
    planted.path("/etc/cron.d/null").symlink_to("/dev/null")
    rows = planted.query("SELECT path, command FROM crontab")
    assert [tuple(row.values()) for row in rows] == [
        ("/etc/crontab", "root cd / && run-parts"), ("/var/spool/cron/root", "/centos"),
        ("/var/spool/cron/crontabs/alice", "f"), ("/var/spool/cron/crontabs/alice", "/debian"),
    ]  # fmt: skip
    assert planted.gaps("crontab") == ""


def test_a_crontab_that_cannot_be_read_is_a_gap(planted: PlantedHost) -> None:
    planted.plant("/etc/cron.d/good", "@daily root /ok\n")
    planted.path("/etc/cron.d/loop").symlink_to("loop")
    with planted.path("/etc/cron.d/huge").open("wb") as huge:
        huge.truncate(60 << 20)
    assert planted.query("SELECT event, command FROM crontab") == [{"event": "@daily", "command": "root /ok"}]
    assert "/etc/cron.d/loop" in planted.gaps("crontab") and "/etc/cron.d/huge" in planted.gaps("crontab")


def test_startup_items_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/etc/init.d/dbus", "#!/bin/sh\n")
    assert planted.query("SELECT * FROM startup_items LIMIT 3") == [
        {"args": "", "name": "dbus", "path": "/etc/init.d/dbus", "source": "/etc/init.d/", "status": "enabled",
         "type": "Startup Item", "username": ""}
    ]  # fmt: skip
    assert "no running systemd" in planted.gaps("startup_items")


def test_startup_items_of_users(planted: PlantedHost) -> None:
    planted.plant("/home/alice/.config/autostart/m.desktop", "[Desktop Entry]\nName=Miner\nExec=/tmp/.x/m -o pool\nName[de]=x\n")
    planted.plant("/home/alice/.config/autostart-scripts/run.sh", "")
    planted.plant("/root/.config/autostart/e.desktop", "Exec=env A=1 /bin/x\n")
    planted.plant("/etc/rc.d/init.d/net", "")
    planted.path("/etc/init.d").symlink_to("rc.d/init.d")
    rows = planted.query("SELECT name, path, source, username FROM startup_items")
    assert [tuple(row.values()) for row in rows] == [
        ("Miner", "/tmp/.x/m -o pool", "/home/alice/.config/autostart/", "alice"),
        ("run.sh", "/home/alice/.config/autostart-scripts/run.sh", "/home/alice/.config/autostart-scripts/", "alice"),
        ("", "", "/root/.config/autostart/", ""),
        ("net", "/etc/rc.d/init.d/net", "/etc/init.d/", ""),
    ]  # fmt: skip


UNITS = [
    ("miner.service", "Système", "loaded", "active", "running", "", "/org/freedesktop/systemd1/unit/miner", 7, "start", "/job/7"),
    ("tmp.mount", "Temporary", "loaded", "inactive", "dead", "", "/org/freedesktop/systemd1/unit/tmp", 0, "", "/"),
]
PROPERTIES = {
    ("miner", "FragmentPath"): "/etc/systemd/system/miner.service",
    ("miner", "SourcePath"): "/etc/init.d/miner",
    ("miner", "UnitFileState"): "enabled",
    ("miner", "User"): "nobody",
    ("tmp", "FragmentPath"): "/lib/systemd/system/tmp.mount",
    ("tmp", "SourcePath"): "",
    ("tmp", "UnitFileState"): "static",
}


def serve_units(connection: DBusConnection) -> None:
    """Answer as systemd does, until the connection closes."""
    try:
        while True:
            message = connection.receive()
            if message.header.message_type != MessageType.method_call:
                continue
            fields = message.header.fields
            if fields[HeaderFields.member] == "ListUnits":
                reply = new_method_return(message, "a(ssssssouso)", (UNITS,))
            else:
                unit = fields[HeaderFields.path].rpartition("/")[2]
                value = PROPERTIES.get((unit, message.body[1]))
                reply = (
                    new_error(message, "org.freedesktop.DBus.Error.UnknownInterface")
                    if value is None
                    else new_method_return(message, "v", (("s", value),))
                )
            connection.send(reply)
    except (OSError, ValueError):
        return


@contextmanager
def system_bus(monkeypatch: pytest.MonkeyPatch, folder: Path, with_systemd: bool) -> Iterator[None]:
    """A message bus of our own, in the place of the system's."""
    config = folder / "bus.conf"
    config.write_text(
        f"<busconfig><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth><policy context='default'>"
        "<allow user='*'/><allow send_destination='*' eavesdrop='true'/>"
        "<allow own='*'/><allow receive_sender='*'/></policy></busconfig>"
    )
    with subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        try:
            assert daemon.stdout is not None
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon.stdout.readline().partition(",guid")[0].strip())
            with open_dbus_connection("SYSTEM") as connection:
                if with_systemd:
                    bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
                    connection.send_and_get_reply(
                        new_method_call(bus, "RequestName", "su", ("org.freedesktop.systemd1", 0)), timeout=5
                    )
                    threading.Thread(target=serve_units, args=(connection,), daemon=True).start()
                yield
        finally:
            daemon.kill()


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="no dbus-daemon to run a bus with")
def test_systemd_units_over_a_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = Host()
    engine = EmbeddedEngine(host)
    with system_bus(monkeypatch, tmp_path, with_systemd=True):
        units = engine.query("SELECT * FROM systemd_units")
        items = engine.query("SELECT * FROM startup_items WHERE type = 'systemd unit'")
    assert units[0] == {
        "id": "miner.service", "description": "Système", "load_state": "loaded", "active_state": "active", "sub_state": "running",
        "unit_file_state": "enabled", "following": "", "object_path": "/org/freedesktop/systemd1/unit/miner", "job_id": "7",
        "job_type": "start", "job_path": "/job/7", "fragment_path": "/etc/systemd/system/miner.service", "user": "nobody",
        "source_path": "/etc/init.d/miner",
    }  # fmt: skip
    assert (units[1]["id"], units[1]["user"], units[1]["unit_file_state"]) == ("tmp.mount", "", "static")
    assert items == [
        {"name": "miner.service", "path": "/etc/systemd/system/miner.service", "args": "", "type": "systemd unit",
         "source": "/etc/init.d/miner", "status": "active", "username": "nobody"},
        {"name": "tmp.mount", "path": "/lib/systemd/system/tmp.mount", "args": "", "type": "systemd unit", "source": "",
         "status": "inactive", "username": ""},
    ]  # fmt: skip
    assert host.status.get("systemd_units").degraded == ()


@pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="no dbus-daemon to run a bus with")
def test_a_bus_without_systemd_gives_no_units_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = Host()
    with system_bus(monkeypatch, tmp_path, with_systemd=False):
        assert EmbeddedEngine(host).query("SELECT * FROM systemd_units") == []
    assert "org.freedesktop.systemd1" in "".join(host.status.get("systemd_units").degraded)


def test_no_bus_gives_no_units_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    host = Host()
    assert EmbeddedEngine(host).query("SELECT * FROM systemd_units LIMIT 1") == []
    assert "system D-Bus" in "".join(host.status.get("systemd_units").degraded)
    assert "systemd_units: systemd on the system D-Bus" in caplog.text


def test_sudoers(planted: PlantedHost) -> None:
    planted.plant(
        "/etc/sudoers",
        "# c\nDefaults\tenv_reset\n  root ALL=(ALL:ALL) ALL\nUser_Alias A = \\\n  x, \\\n\t y\nHOST\\\nLINE\n"
        "@includedir /etc/sudoers.d\n#include sudoers.local\n#includedir\n@include loop\nlast \\\n",
    )
    planted.plant("/etc/sudoers.d/10-app", "app ALL=(root) NOPASSWD: ALL\n")
    for ignored in ("a.bak", "b~", ".c"):
        planted.plant(f"/etc/sudoers.d/{ignored}", "no ALL=ALL\n")
    planted.plant("/etc/sudoers.local", "@include /etc/sudoers\n")
    planted.path("/etc/loop").symlink_to("loop")
    rows = [tuple(row.values()) for row in planted.query("SELECT * FROM sudoers")]
    assert rows == [
        ("/etc/sudoers", "Defaults", "env_reset"),
        ("/etc/sudoers", "root", "ALL=(ALL:ALL) ALL"),
        ("/etc/sudoers", "User_Alias", "A = x, y"),
        ("/etc/sudoers", "HOST", "LINE"),
        ("/etc/sudoers", "@includedir", "/etc/sudoers.d"),
        ("/etc/sudoers.d/10-app", "app", "ALL=(root) NOPASSWD: ALL"),
        ("/etc/sudoers", "#include", "sudoers.local"),
        ("/etc/sudoers.local", "@include", "/etc/sudoers"),
        ("/etc/sudoers", "@include", "loop"),
        ("/etc/sudoers", "last", "\\"),
    ]
    assert "/etc/loop" in planted.gaps("sudoers")


TEXT = st.lists(
    st.sampled_from(["@include", "#", "\\\n", "\n", " ", "\t", "=", "Name=", "Exec=", "*", "@reboot", "\r"]) | st.text(max_size=5)
)


@given(TEXT.map("".join))
def test_parsers_take_anything(text: str) -> None:
    for line in text.split("\n"):
        row = cron.parse_cron_line(line.strip())
        assert row is None or row["command"]
    assert set(startup.parse_desktop_entry(text)) <= {"name", "path"}
    assert len(list(sudoers.parse_sudoers(text))) <= text.count("\n") + 1
