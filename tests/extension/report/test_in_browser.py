"""The HTML report in a real browser: it opens, complains of nothing, asks for nothing, and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from extension.report import html as html_report
from tests.support.chromium import Chromium, find_chromium
from tests.support.made_triage import FACTS, hostile, made

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on PATH")
ELEMENTS = "[...document.querySelectorAll('*')].map(e => e.localName).join()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as one:
        yield one


def show(browser: Chromium, folder: Path, triage: object, language: str = "en") -> str:
    """Open the report of a triage; its address."""
    path = folder / "report.html"
    path.write_text(html_report.render(triage, FACTS, language))  # type: ignore[arg-type]
    browser.events.clear()
    browser.open(path.as_uri())
    return path.as_uri()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_hostile_host_s_report_is_text_and_asks_for_nothing(browser: Chromium, tmp_path: Path, language: str) -> None:
    address = show(browser, tmp_path, hostile(), language)
    browser.prefer("dark")
    browser.pdf()
    assert browser.complaints() == []
    assert browser.requests() == [address]
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in browser.value("document.body.innerText")
    assert browser.value("document.querySelectorAll('script, img, iframe, object').length") == 0
    assert browser.value("[...document.links].every(a => a.hash)")
    structure = browser.value(ELEMENTS)
    show(browser, tmp_path, hostile("x" * 300), language)
    assert browser.value(ELEMENTS) == structure


def test_the_policy_would_stop_a_script_and_a_request(browser: Chromium, tmp_path: Path) -> None:
    """So that an empty list of complaints means something."""
    path = tmp_path / "page.html"
    evil = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'><p style='color: red'>"
    path.write_text(html_report.render(made({}), FACTS, "en").replace("</main>", evil + "</main>"))
    browser.events.clear()
    browser.open(path.as_uri())
    told = " ".join(browser.complaints())
    assert browser.value("document.title") != "run"
    assert [kind for kind in ("script-src", "img-src", "style-src") if kind not in told] == []
    assert not [address for address in browser.requests() if address.startswith("http://127") and not _blocked(browser, address)]


def _blocked(browser: Chromium, address: str) -> bool:
    requests = [event["params"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    failed = {event["params"]["requestId"] for event in browser.events if event["method"] == "Network.loadingFailed"}
    return all(one["requestId"] in failed for one in requests if one["request"]["url"] == address)


def test_it_follows_the_reader_s_colours_and_prints_in_light_ones(browser: Chromium, tmp_path: Path) -> None:
    show(browser, tmp_path, made({}))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    seen = []
    for scheme, media in (("light", ""), ("dark", ""), ("dark", "print")):
        browser.prefer(scheme, media)
        seen.append(browser.value(ground))
    browser.prefer()
    assert seen[0] == seen[2] == "rgb(255, 255, 255)" != seen[1]
    assert browser.pdf().startswith(b"%PDF-")


@pytest.mark.parametrize("width", [1400, 800, 380])
def test_nothing_is_wider_than_the_window(browser: Chromium, tmp_path: Path, width: int) -> None:
    show(browser, tmp_path, hostile("W" * 2000))
    browser.size(width, 900)
    assert browser.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    browser.size(1120, 900)


def test_the_blank_fields_can_be_written_in(browser: Chromium, tmp_path: Path) -> None:
    show(browser, tmp_path, made({}))
    browser.value("document.querySelector('.advice').focus()")
    browser.ask("Input.insertText", text="Reinstall <b>it</b>")
    assert browser.value("document.querySelector('.advice').innerText") == "Reinstall <b>it</b>"
    assert browser.value("document.querySelector('.advice').childElementCount") == 0
    assert browser.complaints() == []
