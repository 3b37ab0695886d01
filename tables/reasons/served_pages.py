"""Judges pages that a web server runs, by what they do with a request's input."""

from __future__ import annotations

from tables.indicators.served_code import served_code
from tables.reasons.command_patterns import code_matches
from tables.schema import Words

SERVED_WORDS = Words.listed("download_and_run reverse_shell runs_decoded_text runs_request_input writes_request_input")

# A page without any of these is none that runs anything; asking so is many times quicker than a pattern.
_RUNS = (
    b"eval", b"EVAL", b"assert", b"system", b"exec", b"xecute", b"passthru", b"popen", b"proc_open", b"create_function",
    b"call_user_func", b"array_map", b"array_filter", b"sort(", b"array_walk", b"register_shutdown", b"extract", b"parse_str",
    b"file_put", b"preg_replace", b"($_", b"( $_", b"`", b"ProcessBuilder", b"defineClass", b"Process",
)  # fmt: skip
_TAKES = (
    b"_GET", b"_POST", b"_REQUEST", b"_COOKIE", b"HTTP_", b"php://input", b"getallheaders", b"equest", b"decode", b"gzinflate",
    b"gzuncompress", b"str_rot13", b"hex2bin", b"pack(", b"strrev", b"fsockopen", b"://",
)  # fmt: skip
_SHELLS = ("/bin/sh", "/bin/bash", "eval(", "assert(", "system(", "shell_exec(", "passthru(")
_SOURCES = ("fsockopen", "stream_socket_client", "://")
_OTHERS = frozenset({"reverse_shell", "download_and_run"})
_ESCAPES = ("escapeshell",)


def may_run_input(data: bytes) -> bool:
    """Whether the bytes of a page hold a word for running something and one for where that may come from."""
    return any(word in data for word in _RUNS) and any(word in data for word in _TAKES)


def page_reasons(language: str, text: str) -> list[str]:
    """What is suspicious about the text of a page of a language (php, jsp, aspx); sorted. Linear in the text.

    Followed is a variable that is given what a request brings and then run, where the page escapes no command's argument.
    """
    code = served_code()
    found = {pattern.name for pattern in code.patterns if language in pattern.languages and pattern.is_in(text)}
    if language == "php":
        if not any(word in text for word in _ESCAPES) and code.runs_what_it_was_given(text):
            found.add("runs_request_input")
        if code.calls_by_name(text):
            found.add("runs_request_input")
        if _has_code_of_its_own(text):
            found.update(code_matches(text) & _OTHERS)
    return sorted(found)


def _has_code_of_its_own(text: str) -> bool:
    """Whether to ask what scripts of any kind are asked: shells over sockets, fetched code."""
    return any(word in text for word in _SHELLS) and any(word in text for word in _SOURCES)
