"""The report of a whole incident, planted for real: it names what was done, and a browser shows it without complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.incidents import sentence
from extension.report import html, markdown, text
from extension.report.facts import Facts
from extension.report.words import LANGUAGES
from extension.triage import Triage
from tests.lab.incident import examine, follow
from tests.lab.programs import IS_SUPPORTED
from tests.support.chromium import Chromium, find_chromium

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not IS_SUPPORTED, reason="the lab has no programs to plant for this architecture"),
]
_TRACES = (
    "/var/tmp/.font/kswapd0", "/var/tmp/.font/config.json", "/usr/lib/.cache/udevd", "/etc/rc.local", "dbus-monitor.service",
    "sysbak", "203.0.113.10", "http://203.0.113.9/x.sh", "51.15.65.182:10300", "web-03",
)  # fmt: skip


@pytest.fixture(scope="module")
def incident() -> tuple[Triage, Facts]:
    return examine()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_one_incident_told_in_a_sentence_on_the_first_screen(incident: tuple[Triage, Facts], language: str) -> None:
    triage, facts = incident
    (story,) = [one for one in triage.incidents if one.is_compromise]
    assert (story.severity, story.confidence) == ("critical", "high")
    told = sentence(story, language)
    for part in (
        "kswapd0 (pid" if language == "en" else "kswapd0（pid",
        "XMR",
        "51.15.65.182:10300",
        "Nanopool",
        "udevd",
        "203.0.113.10",
    ):
        assert part in told, (part, told)
    screen = text.render(triage, language).split("\n\n", 1)[1].replace("\n", "")[:1500]
    assert "51.15.65.182:10300" in screen and "203.0.113.10" in screen
    page = html.render(triage, facts, language)
    assert page.index('class="sentence"') < page.index("kill -STOP") < page.index('id="first"') < page.index('id="board"')


def test_the_host_is_judged_compromised_and_every_step_could_be_run(incident: tuple[Triage, Facts]) -> None:
    triage, facts = incident
    assert triage.verdict == "compromised" and triage.errors == 0
    assert {1, 2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 16, 17} <= set(triage.abnormal_steps)
    assert facts.host["uptime"] and facts.indicators


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_names_what_was_planted(incident: tuple[Triage, Facts], language: str) -> None:
    triage, facts = incident
    for report in (html.render(triage, facts, language), markdown.render(triage, facts, language), text.render(triage, language)):
        assert [trace for trace in _TRACES if trace not in report] == []


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on PATH")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_shows_the_suspects_and_the_timeline(incident: tuple[Triage, Facts], language: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(*incident, language))
    with Chromium() as browser:
        browser.open(path.as_uri())
        assert browser.complaints() == [] and browser.requests() == [path.as_uri()]
        suspects = browser.value("[...document.querySelectorAll('.process.suspect b')].map(e => e.textContent)")
        assert {"kswapd0", "udevd", "sshd-agent"} <= set(suspects)
        assert browser.value("document.querySelectorAll('svg.timeline .mark').length") > 5
        assert browser.value("document.querySelectorAll('.board li').length") == 18


# What tells of the past stays true on a host that is clean.
_PAST = {"brute_force_login_succeeded", "shell_history_download_and_run"}
# In a room there is no systemd to talk to, and nothing runs of some files.
_MAY_FAIL = ("systemctl ", "fuser ", "journalctl ", "last ", "find ", "ss ", "grep ", "minehunt ")


def test_following_the_plan_leaves_the_host_clean_and_the_evidence_whole() -> None:
    followed = follow()
    failed = [one for one in followed.commands if one[1] and not one[0].startswith(_MAY_FAIL)]
    assert failed == []
    left = {result.query.name for result in followed.after.results if result.findings}
    assert left <= _PAST, left
    assert followed.before.incidents[0].is_compromise and len(followed.before.incidents) == 1
    miners = [row["pid"] for result in followed.before.results if result.query.name == "miner_process" for row in result.rows]
    assert len(miners) >= 2 and {f"{pid}.exe" for pid in miners} <= followed.evidence.keys()
    assert {
        "var/tmp/.font/kswapd0",
        "etc/rc.local",
        "var/spool/cron/crontabs/root",
        "root/.ssh/authorized_keys",
        "evidence.tar.gz",
    } <= (followed.evidence.keys())
    assert all(followed.evidence[name] for name in followed.evidence if name.endswith(".exe"))
    status, said = followed.compared
    assert "0 back" in said and "0 new" in said and status == 1, said
    assert followed.verified[0] == 0 and "as they were collected" in followed.verified[1]
    assert followed.watched[0] == 0 and "Nothing came back in 4 s." in followed.watched[1], followed.watched
