"""The HTML report: what it says, in both languages, and that no string of a host can be more than text in it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extension.report import html as html_report
from extension.report.facts import Facts
from extension.report.words import MARKS, words
from tests.support.made_triage import FACTS, hostile, made, process
from tests.support.namespaces import REPOSITORY

CSS = (Path(html_report.__file__).parent / "report.css").read_text()


class Page(HTMLParser):
    """The tags, their attributes, and the text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self._is_style = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._is_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(triage: object, language: str = "en", facts: Facts = FACTS) -> Page:
    return Page(html_report.render(triage, facts, language))  # type: ignore[arg-type]


INCIDENT = made(
    {
        "process_tree": [process(1, 0, "init"), process(7, 1, "kswapd0")],
        "miner_process": [process(7, 1, "kswapd0", evidence="stratum_url: x", ancestry="init(1) > kswapd0(7)")],
        "tcp_connections": [process(7, 1, "kswapd0", remote_address="192.0.2.5", remote_port="3333")],
        "sshd_root_login": [],
        "process_census": "no such table",
    },
    blind=[("login_failures", "no log")],
)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_says_all_of_it_in_its_language(language: str) -> None:
    text = page(INCIDENT, language).text
    said = words(language)
    for step in INCIDENT.steps:
        assert step.step.title.get(language) in text and step.step.asks.get(language).split()[0] in text
    for key in (
        "compromised_means",
        "board",
        "findings",
        "suspects",
        "timeline",
        "hardening",
        "unchecked",
        "host",
        "record",
        "measures",
        "advice",
        "signatures",
    ):
        assert said[key] in text, key
    for part in ("stratum_url: x", "T1496.001", "init(1) > kswapd0(7)", "192.0.2.5:3333", "no such table", "no log", "web-03"):
        assert part in text, part
    assert "kill -STOP 7" in text.replace("STOP  7", "STOP 7")
    assert "1 " + said["day"] + " 2 " + said["hour"] in text and "8.0 GiB" in text
    pools, known_good = ("a list", "479", "2026-08-16", "99"), ("/etc/minehunt/known_good.yaml", "3")
    assert said["pool_list"].format(**dict(zip(("source", "entries", "updated", "age_days"), pools))) in text
    assert said["known_good_list"].format(source=known_good[0], entries=known_good[1]) in text
    assert "2026-11-23 16:06:40 UTC" in text and f"40 {said['second']}" in text


def test_a_clean_host_s_report_is_short_and_says_so() -> None:
    said = words("en")
    text = page(made({}), facts=Facts(indicators=None)).text
    for key in ("clean_means", "no_findings", "no_suspects", "no_events", "nothing_unchecked", "not_read"):
        assert said[key] in text, key
    assert said["hardening"] not in text and said["first"] not in text


@pytest.mark.parametrize(("status", "why"), [("needs-root", "because"), ("not-applicable", words("en")["not-applicable_means"])])
def test_what_could_not_be_looked_at_is_marked_and_listed(status: str, why: str) -> None:
    triage = made({})
    queries = tuple(dataclasses.replace(one, status=status, error="because") for one in triage.steps[0].queries)
    step = dataclasses.replace(triage.steps[0], status=status, queries=queries)
    text = page(dataclasses.replace(triage, steps=(step, *triage.steps[1:]), host={**triage.host, "system": ""})).text
    assert f"{MARKS[status]} {words('en')[status]}" in text and f"miner_process {words('en')[status]} {why}" in text
    assert (words("en")["as_root"] in text) == (status == "needs-root") and "· ·" not in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_asked_for_and_nothing_can_run(language: str) -> None:
    source = html_report.render(hostile(), FACTS, language)
    found = Page(source)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base", "video", "audio", "source"} & set(found.tags)
    assert found.tags.count("link") == 1 and found.tags.count("style") == 1 and found.tags.count("title") > 1
    for name, value in found.attributes:
        assert not name.startswith("on") and name not in ("style", "src", "srcset", "formaction", "background", "xlink:href")
        assert name != "href" or value.startswith("#") or value == "data:,"
    assert "default-src 'none'" in dict(found.attributes)["content"] or "default-src 'none'" in source
    assert not re.search(r"url\(|@import|http", CSS)
    assert not any(char in source for char in "\x1b\x07\x00\u202e")
    assert "<script>alert(1)</script>" in found.text and r"\x1B[2J" in found.text and r"\u202E" in found.text


def test_every_link_within_the_page_leads_somewhere_once() -> None:
    attributes = page(INCIDENT).attributes
    names = [value for name, value in attributes if name == "id"]
    assert len(names) == len(set(names))
    assert {value[1:] for name, value in attributes if name == "href" and value.startswith("#")} <= set(names)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_characters="_"), max_size=50))
def test_no_string_changes_the_structure(text: str) -> None:
    # A letter on each side, so that it is neither nothing nor a number; names of columns may be broken at a `_`.
    assert page(hostile(f"x{text}x")).tags == page(hostile("xyx")).tags


def test_a_value_of_a_megabyte_is_cut_with_a_note() -> None:
    source = html_report.render(hostile("A" * (1 << 20)), FACTS, "en")
    assert len(source) < 200_000 and "(1048576 characters)" in source


def test_many_rows_are_counted_not_shown() -> None:
    rows = [process(pid, 1, evidence=f"e{pid}") for pid in range(10, 510)]
    source = html_report.render(made({"miner_process": rows}), FACTS, "en")
    assert "+ 480 more rows" in source and "kill -STOP 14" in source and len(source) < 600_000
    assert "There are more rows than are told here: minehunt plan REPORT.json" in source


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_from_what_is_behind_it(scheme: int) -> None:
    """WCAG 2.1's contrast of 4.5 to 1, light and dark."""
    block = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    pairs = [(f"{name}", f"{name}-wash") for name in ("critical", "high", "medium", "low", "good")]
    pairs += [
        (name, ground) for name in ("ink", "soft", "critical", "high") for ground in ("paper", "wash", "code", "critical-wash")
    ]
    pairs += [("on-colour", "critical"), ("link", "paper"), ("link", "critical-wash")]
    for front, ground in pairs:
        light, dark = sorted((_luminance(colours[front]), _luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, ground)


def test_times_in_the_timeline_are_utc() -> None:
    assert "2026-11-23 15:50:07" in page(INCIDENT).text


def test_it_comes_out_of_the_one_file_extension_too(tmp_path: Path) -> None:
    """In minehunt.ext the templates are no files."""
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in (path for name in ("extension", "packs", "tables") for path in (REPOSITORY / name).rglob("*")):
            if path.suffix in (".py", ".yaml", ".html", ".css", ".md", ".json"):
                packed.write(path, path.relative_to(REPOSITORY))
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from extension.report import html, markdown
        from tests.support.made_triage import FACTS, made
        assert html.__file__.startswith(sys.argv[1])
        print(len(html.render(made({}), FACTS, "zh")), len(markdown.render(made({}), FACTS, "zh")))
    """
    command = [sys.executable, "-c", code, str(archive)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(int(size) > 5_000 for size in done.stdout.split())
