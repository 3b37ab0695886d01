"""Judges code of languages other than the shell's by the commands that it hands to a shell."""

from __future__ import annotations

import re

from tables.reasons.command_patterns import alert_reasons, code_matches
from tables.reasons.commands import command_reasons
from tables.text.code_calls import CODE_LIMIT, started_by

# Strings of Python, Perl, PHP, Ruby, Lua and JavaScript; what is never closed ends with its line, or with the text.
_STRING = re.compile(
    r"\"{3}(.*?)(?:\"{3}|\Z)|'{3}(.*?)(?:'{3}|\Z)|\"((?:\\.|[^\"\\\n])*)|'((?:\\.|[^'\\\n])*)|#[^\n]*", re.DOTALL
)
_ESCAPED = re.compile(r"\\([\"'\\])")
_STARTS_PROGRAMS = re.compile(
    r"\b(?:system|popen|subprocess|spawn\w*|exec\w*|shell_exec|passthru|getoutput|Popen|check_output)\b"
)
_MAX_STRINGS = 1000
_MAX_LENGTH = 4096


def code_reasons(code: str) -> list[str]:
    """What is worth an alert in the strings of `code`, as commands, where it starts programs at all; sorted. Linear time.

    Judged are the commands that calls start, and each string by itself: one put together from variables is not seen.
    """
    code = code[:CODE_LIMIT]
    found = set(alert_reasons(",".join(code_matches(code))))
    for command in started_by(code):
        found.update(alert_reasons(",".join(command_reasons(command))))
    if not _STARTS_PROGRAMS.search(code):
        return sorted(found)
    for count, match in enumerate(_STRING.finditer(code)):
        if count == _MAX_STRINGS:
            break
        text = next((group for group in match.groups() if group), "")[:_MAX_LENGTH]
        if " " in text.strip():
            found.update(alert_reasons(",".join(command_reasons(_ESCAPED.sub(r"\1", text)))))
    return sorted(found)
