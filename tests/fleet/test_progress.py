"""The bar on a terminal moves with what is read, and nothing is written where there is no terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_READ_SLOWLY = """
import sys, time
from extension.fleet import progress
with progress.bar(8_000_000) as advance, open(sys.argv[1], "rb") as file:
    for _ in range(8):
        file.read(1_000_000)
        time.sleep(0.25)
    advance(8_000_000)
"""


def test_the_bar_moves_while_a_batch_is_read(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(bytes(8_000_000))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _READ_SLOWLY, str(file)]
    process = subprocess.Popen(command, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    os.close(theirs)
    shown = b""
    # A terminal whose other side is closed is read with EIO.
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert process.wait() == 0
    megabytes = {float(text) for text in re.findall(rb"([0-9.]+)/8\.0 MB", shown)}
    assert len([one for one in megabytes if 0 < one < 8]) >= 3, shown


def test_without_a_terminal_nothing_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(bytes(8_000_000))
    done = subprocess.run([sys.executable, "-c", _READ_SLOWLY, str(file)], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
