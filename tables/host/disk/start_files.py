"""Files that start programs: read whole, with what tells one version of them from another."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shlex
from typing import NamedTuple, Optional

from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable, read_fd
from tables.text.programs import SHELLS, resolve
from tables.text.shell import Script, parse

_SHEBANG = re.compile(r"#![ \t]*([^ \t\r\n]+)[ \t]*([^\r\n]*)")
# OpenRC's scripts are shell, run by a program of its own.
_SHELL_SCRIPTS = SHELLS | {"openrc-run", "runscript"}


class StartFile(NamedTuple):
    """A crontab, unit file or script: its real path, its text (other bytes than UTF-8 as surrogate escapes), its status.

    `sha256` is None when it is longer than DEFAULT_LIMIT bytes, of which `text` then holds the first.
    """

    path: str
    text: str
    status: os.stat_result
    sha256: Optional[str]

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
    except OSError as error:
        raise Unreadable(name, error.strerror or str(error), error.errno) from None
    finally:
        os.close(fd)
    digest = hashlib.sha256(data).hexdigest() if len(data) < DEFAULT_LIMIT else None
    return StartFile(real_path or files.real_path(name), data.decode("utf-8", "surrogateescape"), status, digest)


def parse_script(file: StartFile) -> Script:
    """The script's commands; a single one for a binary, and for an interpreter that is no shell (the script in its here_docs)."""
    if file.text.startswith("\x7fELF"):
        return _one_command(file.text, file.path)
    shebang = _SHEBANG.match(file.text)
    interpreter = resolve([shebang[1], *shebang[2].split()]) if shebang else None
    if interpreter is None or interpreter.name in _SHELL_SCRIPTS:
        return parse(file.text)
    return _one_command(file.text, interpreter.program, file.text)


def _one_command(text: str, program: str, *here_docs: str) -> Script:
    parsed = parse(shlex.quote(program))
    whole = dataclasses.replace(parsed.commands[0], end=len(text), here_docs=here_docs)
    return Script(text, (whole,), is_cut=False)
