"""Markdown's code spans, in which nothing that came from the host can make markup, a link or HTML."""

from __future__ import annotations

import re

from tables.schema import clean_text

BACKTICKS = re.compile(r"`+")


def code_span(text: str) -> str:
    """`text` as a code span, whatever backticks are in it; nothing for blanks."""
    inner = clean_text(text)
    if not inner.strip():
        return ""
    fence = "`" * (max(map(len, BACKTICKS.findall(inner)), default=0) + 1)
    # A space beside the fence is taken off again by the reader; with a backtick there it is needed.
    pad = " " if inner[0] in "` " or inner[-1] in "` " else ""
    return f"{fence}{pad}{inner}{pad}{fence}"
