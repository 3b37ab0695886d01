"""What the terminal can show: signs that its character set has, and the language of its user."""

from __future__ import annotations

import codecs
import io
import os
import sys

_ERRORS = "minehunt"
# In place of a sign that a character set lacks the first of these that it has; of others a question mark.
_INSTEAD = {
    "✓": "√+", "✗": "×x", "–": "-", "—": "-", "•": "·*", "·": "*", "…": ".", "×": "x", "“": '"', "”": '"', "▲": "^", "−": "-",
    "─": "-", "│": "|", "├": "+", "└": "+", "→": ">", "›": ">", "：": ":", "，": ",", "、": ",", "。": ".", "；": ";",
    "（": "(", "）": ")",
}  # fmt: skip


def prepare_streams() -> None:
    """Have standard output and error write what their character set lacks by signs that it has, instead of failing."""
    codecs.register_error(_ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=_ERRORS)


def user_language() -> str:
    """The language that the locale of the environment asks for: zh or en."""
    locale = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    # As in gettext, a list of languages counts where there is a locale at all.
    preferred = os.environ.get("LANGUAGE", "") if locale not in ("", "C", "POSIX") else ""
    return "zh" if (preferred or locale).startswith("zh") else "en"


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_fitting(char, error.encoding) for char in error.object[error.start : error.end]), error.end


def _fitting(char: str, encoding: str) -> str:
    for instead in _INSTEAD.get(char, ""):
        try:
            instead.encode(encoding)
        except UnicodeEncodeError:
            continue
        return instead
    return "?"
