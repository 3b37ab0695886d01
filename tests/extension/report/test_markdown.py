"""The Markdown report, as a reader of CommonMark sees it: nothing of a host's is ever markup."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from extension.report import markdown as markdown_report
from extension.report.facts import Facts
from extension.report.words import words
from tests.support.made_triage import FACTS, HOSTILE, PACK, hostile, made, process

READER = MarkdownIt("commonmark", {"html": True}).enable("table")


def tokens(source: str) -> Iterator[Token]:
    for token in READER.parse(source):
        yield token
        yield from token.children or ()


def structure(source: str) -> list[str]:
    return [token.type for token in tokens(source)]


def code_of(source: str) -> list[str]:
    return [token.content for token in tokens(source) if token.type in ("code_inline", "fence")]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_has_the_same_parts_as_the_page(language: str) -> None:
    triage = made({"miner_process": [process(7, 1, "x", evidence="e")], "sshd_root_login": []}, blind=[("t", "why")])
    source = markdown_report.render(triage, FACTS, language)
    said = words(language)
    headings = [
        inline.content for kind, inline in zip(READER.parse(source), READER.parse(source)[1:]) if kind.type == "heading_open"
    ]
    for key in ("board", "findings", "suspects", "timeline", "hardening", "unchecked", "host", "record", "measures", "advice"):
        assert said[key] in headings, key
    assert all(step.step.title.get(language) in source for step in triage.steps)
    assert "kill -STOP 7" in code_of(source) and 'cp --no-clobber /proc/7/exe "$CASE/7.exe"' in code_of(source)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_that_is_no_code_is_in_its_language(language: str) -> None:
    rows = {query.name: [{"path": "/x", "evidence": "e"}] for query in PACK.queries() if query.kind == "detection"}
    policies = {query.name: [] for query in PACK.queries() if query.kind == "policy"}
    source = markdown_report.render(made({**rows, **policies}), FACTS, language)
    texts = [token.content for token in tokens(source) if token.type == "text" and token.content not in rows]
    sentences = [text for text in texts if re.search("[A-Za-z]{2,} [a-z]{2,} [a-z]{2,} [a-z]{2,}", text)]
    chinese = [text for text in texts if re.search("[\u4e00-\u9fff]", text)]
    assert (sentences if language == "zh" else chinese) == []
    for query in (query for query in PACK.queries() if query.name in rows):
        for text in query.false_positives:
            assert text.get(language).split("`")[0] in "".join(texts), query.name


@pytest.mark.parametrize(
    "text", [HOSTILE, "x|y|z", "`", "``` ```", " ", "<b>", "[a](b)", "https://a.example", "a@b.example", "---", "# h"]
)
def test_what_a_host_says_is_code(text: str) -> None:
    source = markdown_report.render(hostile(text), FACTS, "en")
    kinds = set(structure(source))
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_block", "hr"}
    assert not any(char in source for char in "\x1b\x07\x00\u202e")
    outside = "".join(token.content for token in tokens(source) if token.type == "text")
    assert "example" not in outside and "alert" not in outside


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="`|\\<>[]()*_#-+!&\n x", max_size=20))
def test_no_string_changes_the_structure(text: str) -> None:
    assert structure(markdown_report.render(hostile(f"x{text}x"), FACTS, "en")) == structure(
        markdown_report.render(hostile("xyx"), FACTS, "en")
    )


@given(st.text(min_size=1))
def test_a_code_span_holds_the_text_and_nothing_else(text: str) -> None:
    inline = [token for token in tokens(f"a {markdown_report.code(text)} b") if token.type not in ("inline", "text")]
    kinds = [token.type for token in inline]
    assert kinds in (["paragraph_open", "code_inline", "paragraph_close"], ["paragraph_open", "paragraph_close"])


def test_a_bar_in_a_table_is_a_bar() -> None:
    source = "| a |\n| --- |\n| " + markdown_report.cell("x | y `z` | w") + " |\n"
    assert code_of(source) == ["x | y `z` | w"]


def test_lines_in_a_block_cannot_end_it() -> None:
    assert code_of(markdown_report.block(["```", "````x", "a\nb"])) == ["```\n````x\na\\x0Ab\n"]


def test_facts_that_could_not_be_had_are_left_out() -> None:
    assert words("en")["memory"] not in markdown_report.render(made({}), Facts(), "en")
