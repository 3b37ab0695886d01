"""Files that start programs: read whole, with what tells one version of them from another."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shlex
from typing import Any, NamedTuple, Optional

from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable, read_fd
from tables.host.disk.padded_scripts import PaddedScript, is_padded
from tables.text.programs import SHELLS, Invocation, resolve
from tables.text.shell import Script, Settings, parse

# How far a long file is read for what it holds beside blank lines and comments.
_MOST_READ = 32 << 20
_CHUNK = 1 << 20
# What one script sources for settings.
_MAX_SOURCED = 16
_SETTINGS_LIMIT = 16 * 1024
# The kernel reads no more of the line (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h).
_SHEBANG = re.compile(r"#![ \t]{0,255}([^ \t\r\n]{1,255})[ \t]{0,255}([^\r\n]{0,255})")
# OpenRC's scripts are shell, run by a program of its own.
SHELL_SCRIPTS = SHELLS | {"openrc-run", "runscript"}


class StartFile(NamedTuple):
    """A crontab, unit file or script: its real path, its text (other bytes than UTF-8 as surrogate escapes), its status.

    Of a file of more than DEFAULT_LIMIT bytes `text` lacks the blank lines and comments, which lines are counted without;
    `is_padded` tells that these are more than in any honest file. `sha256` is None when `text` is not all of it even so.
    """

    path: str
    text: str
    status: os.stat_result
    sha256: Optional[str]
    is_padded: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether `text` is all of it."""
        return self.sha256 is not None


def read_start_file(files: Files, name: str, real_path: Optional[str] = None) -> StartFile:
    """The file that `name` leads to; Unreadable where there is none, or it is no regular file.

    `real_path` is its path with links resolved, where the caller knows that: to find it out takes longer than to read.
    """
    fd = files.open(name)
    try:
        status = os.fstat(fd)
        data = read_fd(fd, DEFAULT_LIMIT)
        digest, is_long = hashlib.sha256(data), len(data) == DEFAULT_LIMIT
        is_whole = not is_long
        if is_long:
            data, is_whole = _without_padding(fd, data, digest)
    except OSError as error:
        raise Unreadable(name, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)
    text = data.decode("utf-8", "surrogateescape")
    hash_of_all = digest.hexdigest() if is_whole else None
    # What was left out of a long one is megabytes.
    hides = is_padded(text) or (is_long and len(data) < DEFAULT_LIMIT // 2)
    return StartFile(real_path or files.real_path(name), text, status, hash_of_all, hides)


def _without_padding(fd: int, first: bytes, digest: Any) -> tuple[bytes, bool]:
    """What a long file holds beside blank lines and comments, at most DEFAULT_LIMIT bytes, and whether that is all of it."""
    script = PaddedScript()
    kept, left, read = [script.feed(first)], DEFAULT_LIMIT, len(first)
    left -= len(kept[0])
    while left > 0 and read < _MOST_READ:
        piece = read_fd(fd, _CHUNK)
        if not piece:
            kept.append(script.rest())
            return b"".join(kept), True
        read += len(piece)
        digest.update(piece)
        kept.append(script.feed(piece))
        left -= len(kept[-1])
    return b"".join(kept)[:DEFAULT_LIMIT], False


def interpreter_of(text: str) -> Optional[Invocation]:
    """What the first line of a script names to run it, wrappers such as env stepped over; None without such a line."""
    shebang = _SHEBANG.match(text)
    return resolve([shebang[1], *shebang[2].split()]) if shebang else None


def settings_of(files: Files) -> Settings:
    """Reads the files that one script sources by their whole paths, a few, for what they set."""
    left = [_MAX_SOURCED]

    def read(path: str) -> Optional[str]:
        left[0] -= 1
        if left[0] < 0:
            return None
        try:
            return files.head(path, _SETTINGS_LIMIT).decode("utf-8", "surrogateescape")
        except Unreadable:
            return None

    return read


def parse_script(file: StartFile, settings: Optional[Settings] = None) -> Script:
    """The script's commands; a single one for a binary, and for an interpreter that is no shell (the script in its here_docs)."""
    if file.text.startswith("\x7fELF"):
        return _one_command(file.text, file.path)
    interpreter = interpreter_of(file.text)
    if interpreter is None or interpreter.name in SHELL_SCRIPTS:
        return parse(file.text, settings)
    return _one_command(file.text, interpreter.program, file.text)


def _one_command(text: str, program: str, *here_docs: str) -> Script:
    parsed = parse(shlex.quote(program))
    whole = dataclasses.replace(parsed.commands[0], end=len(text), here_docs=here_docs)
    return Script(text, (whole,), is_cut=False)
