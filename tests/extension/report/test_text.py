"""The text report: as wide as the terminal, coloured there only, and inert."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios

import pytest
from rich.cells import cell_len

from extension.report import text as text_report
from tests.support.made_triage import hostile, made, process

INCIDENT = made(
    {"miner_process": [process(7, 1, "kswapd0", cmdline="/tmp/x " + "-o pool.example:3333 " * 9, evidence="stratum_url")]}
)


def on_terminal(columns: int) -> str:
    """What a terminal of this width is sent."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    chunks = []
    reader = os.fork()
    if reader == 0:
        os.close(master)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        with os.fdopen(slave, "w") as stream:
            console = text_report.open_console(stream)
            console.print(text_report.progress_line(INCIDENT.steps[0], "en"))
            text_report.print_details(console, INCIDENT, "zh")
        os._exit(0)
    os.close(slave)
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.waitpid(reader, 0)
    os.close(master)
    return b"".join(chunks).decode()


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("columns", [50, 80, 160])
def test_it_is_as_wide_as_the_terminal_and_coloured(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    sent = on_terminal(columns)
    assert "\x1b[" in sent and "\x1b" not in without_colour(sent)
    assert max(cell_len(line.rstrip("\r")) for line in without_colour(sent).split("\n")) <= columns


def test_no_colour_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_terminal(80))


@pytest.mark.parametrize("forced", [False, True])
def test_a_file_gets_plain_text(monkeypatch: pytest.MonkeyPatch, forced: bool) -> None:
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    text = text_report.render(INCIDENT, "en")
    assert "\x1b" not in text and max(map(cell_len, text.splitlines())) <= 120
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "kill -STOP 7" in text and "stratum_url" in text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hostile_strings_are_inert_and_cut(language: str) -> None:
    text = text_report.render(hostile(), language)
    assert not any(char in text for char in "\x1b\x07\x00\u202e")
    long = text_report.render(hostile("A" * (1 << 20)), language)
    assert "1048576" in long and len(long) < 120_000
