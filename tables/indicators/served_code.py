"""What makes a page that a web server runs a web shell: served_code.yaml as questions with answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from tables.indicators.loader import load_yaml

# A page that is no longer does little else.
_SHORT_PAGE = 1024
# Before what a request brings, so much is read for the variable that is given it.
_BEFORE = 160
# How pages are told by their names.
_ENDINGS = {
    **dict.fromkeys(("php", "php3", "php4", "php5", "php7", "php8", "phtml", "pht", "phps", "phar", "inc"), "php"),
    **dict.fromkeys(("jsp", "jspx", "jspf"), "jsp"),
    **dict.fromkeys(("aspx", "ashx", "asmx", "asp", "asa", "cer"), "aspx"),
}


class CodePattern(NamedTuple):
    """One entry of served_code.yaml; its head comment says what each field means."""

    name: str
    languages: tuple[str, ...]
    begins: tuple[str, ...]
    regex: re.Pattern[str]
    must_match: tuple[str, ...]
    must_not_match: tuple[str, ...]

    def is_in(self, text: str) -> bool:
        """Whether the page `text` holds it; where it begins with known words, only these are looked at closely."""
        if not self.begins:
            return self.regex.match(text) is not None
        return any(self.regex.match(text, at) for at in _places(text, self.begins))


class ServedCode:
    """The patterns of served_code.yaml, and what is read of PHP to follow a request's input through a variable."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.runs: tuple[str, ...] = tuple(data["runs"])
        runs = rf"(?<![\w>:$\\.'\"-])(?:{'|'.join(map(re.escape, self.runs))})\s{{0,4}}\("

        def filled(pattern: str) -> re.Pattern[str]:
            return re.compile(pattern.replace("{input}", data["input"]).replace("{runs}", runs), re.DOTALL)

        self.patterns = tuple(
            CodePattern(
                entry["name"],
                tuple(entry["languages"]),
                tuple(entry.get("begins", ())),
                filled(entry["pattern"]),
                tuple(entry["must_match"]),
                tuple(entry["must_not_match"]),
            )
            for entry in data["patterns"]
        )
        # Through a call or two, and behind a text that is put before it.
        argument = r"(?:@?\w{1,24}\s?\(\s?){0,2}(?:[\"'][^\"'\n;]{0,60}[\"']\s?\.\s?)?(\$\w{1,40})\b(?!\s?->)"
        self._run = filled(r"{runs}\s{0,4}" + argument)
        self._calls = re.compile(r"(?<![\w>:$])\$\w{1,40}\s?\(\s?@?\$_(?:GET|POST|REQUEST|COOKIE)\s?\[")
        self._input = filled("{input}")
        self._taken = re.compile(r"(\$\w{1,40})\s?\.?=\s?(?:@?\w{0,24}\s?\(\s?){0,3}@?\Z")

    def calls_by_name(self, text: str) -> bool:
        """Whether a short page of PHP's calls a function whose name it keeps in a variable with what a request brings."""
        return len(text) <= _SHORT_PAGE and self._calls.search(text) is not None

    def runs_what_it_was_given(self, text: str) -> bool:
        """Whether a page of PHP's runs a variable that it has given what a request brings."""
        run = {found[1] for at in _places(text, self.runs) if (found := self._run.match(text, at))}
        if not run:
            return False
        before = (text[max(0, found.start() - _BEFORE) : found.start()] for found in self._input.finditer(text))
        return any(taken[1] in run for part in before if (taken := self._taken.search(part)))


def _places(text: str, words: Iterable[str]) -> Iterator[int]:
    """Where one of these words is in `text`."""
    for word in words:
        at = text.find(word)
        while at >= 0:
            yield at
            at = text.find(word, at + 1)


def language_of(name: str) -> Optional[str]:
    """The language of a page of this file name: php, jsp or aspx; None for no page."""
    return _ENDINGS.get(name.rpartition(".")[2].lower()) if "." in name else None


@functools.lru_cache(maxsize=1)
def served_code() -> ServedCode:
    """The built-in patterns, read when first asked for."""
    return ServedCode(load_yaml("served_code.yaml"))
