"""The reports' own words: in both languages, and each of them said."""

from __future__ import annotations

import re
from pathlib import Path

from extension.pack.parts import KINDS, PHASES, SEVERITIES, STAGES
from extension.report import html
from extension.report.timeline import LANES
from extension.report.words import MARKS, words

FOLDER = Path(html.__file__).parent


def test_both_languages_have_every_word_and_chinese_is_chinese() -> None:
    english, chinese = words("en"), words("zh")
    assert list(english) == list(chinese) and all(english.values()) and all(chinese.values())
    assert [key for key, word in chinese.items() if not re.search("[\u3001-\u9fff\uff1a]", word)] == []
    assert {*KINDS, *SEVERITIES, *LANES, *MARKS, *STAGES, *PHASES} <= set(english)


def test_every_word_is_said_somewhere() -> None:
    sources = [
        path.read_text() for path in FOLDER.iterdir() if path.suffix in (".py", ".html", ".md") and path.name != "words.py"
    ]
    said = set(re.findall(r"\bw\.(\w+)", "".join(sources))) | set(re.findall(r"""["']([\w-]+)["']""", "".join(sources)))
    verdicts = {"clean", "suspicious", "compromised", "incomplete", "partial"}
    named = {*KINDS, *SEVERITIES, *LANES, *MARKS, *STAGES, *PHASES, *verdicts}
    facts = {"hostname", "system", "kernel", "architecture", "user", "root"}
    unsaid = [key for key in words("en") if key not in said | named | facts and not key.endswith("_means")]
    assert [key for key in unsaid if not key.startswith("confidence_")] == []
