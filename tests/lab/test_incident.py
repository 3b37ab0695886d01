"""The report of a whole incident, planted for real: it names what was done, and a browser shows it without complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from extension.report import html, markdown, text
from extension.report.facts import Facts
from extension.report.words import LANGUAGES
from extension.triage import Triage
from tests.lab.incident import examine
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
