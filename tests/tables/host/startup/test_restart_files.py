from __future__ import annotations

from pathlib import Path

from tables.host.disk.files import Files
from tables.host.startup.restart_files import RestartFiles
from tests.support.planted_files import plant


def test_cron_jobs_of_every_kind(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/crontab", "SHELL=/bin/sh\n* * * * * root cd /opt/z && ./z\n")
    plant(tmp_path, "/etc/cron.d/d", "@reboot root sh /opt/run\n")
    plant(tmp_path, "/opt/run", "#!/bin/sh\n/tmp/inner &\n")
    plant(tmp_path, "/var/spool/cron/crontabs/u", "* * * * * /tmp/user\n")
    plant(tmp_path, "/etc/cron.hourly/gcc.sh", "#!/bin/sh\ncp /lib/a /lib/b\n/lib/b\n")
    plant(tmp_path, "/etc/cron.hourly/README", "/lib/c\n")
    found = {(job.path, job.line): set(job.starts.paths()) for job in RestartFiles(Files(str(tmp_path))).cron_jobs()}
    assert found == {
        ("/etc/crontab", 2): {"/opt/z/z"},
        ("/etc/cron.d/d", 1): {"/opt/run", "/tmp/inner"},
        ("/var/spool/cron/crontabs/u", 1): {"/tmp/user"},
        ("/etc/cron.hourly/gcc.sh", 0): {"/lib/b"},
        ("/etc/cron.hourly/README", 0): set(),
    }


def test_a_new_run_of_a_unit_is_counted(tmp_path: Path) -> None:
    link = tmp_path / "run/systemd/units/invocation:a.service"
    link.parent.mkdir(parents=True)
    files = RestartFiles(Files(str(tmp_path)))
    assert files.unit_restarts("a.service") is None
    for run, expected in (("one", 0), ("one", 0), ("two", 1), ("three", 2)):
        link.unlink(missing_ok=True)
        link.symlink_to(run)
        assert files.unit_restarts("a.service") == expected
