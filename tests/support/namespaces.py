"""Run a piece of Python in namespaces of its own, so that what it mounts or starts cannot touch this host."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patient

REPOSITORY = Path(__file__).resolve().parents[2]

needs_readable_repository = pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o5 == 0o5 for folder in (REPOSITORY, *REPOSITORY.parents)),
    reason="the repository lies where an ordinary user cannot read it",
)

_PRELUDE = """
import ctypes, json, os, shutil, signal, subprocess, sys, tempfile, time
sys.path.insert(0, {repository!r})
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host

started = []
folder = {folder!r}

def start(*argv, **options):
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    started.append(process)
    return process

def mount(source, target, kind=None, flags=4096):
    libc = ctypes.CDLL(None, use_errno=True)
    encode = lambda text: None if text is None else os.fsencode(text)
    if libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None):
        raise OSError(ctypes.get_errno(), "mount " + target)

def query(sql, host=None):
    return EmbeddedEngine(host or Host()).query(sql)

def answer(value):
    print("ANSWER " + json.dumps(value), flush=True)

try:
{body}
finally:
    for process in started:
        process.kill()
    for process in started:
        process.wait()
"""


def run_in_namespaces(body: str, *flags: str, timeout: float = 90, env: dict[str, str] | None = None) -> Any:
    """Run `body` under unshare(1) with `flags` (a private mount namespace always) and return what it passed to answer().

    In `body`: start(*argv) starts a process that is ended afterwards, mount(source, target, type, flags) bind-mounts by
    default, query(sql) asks a fresh embedded engine, folder is a scratch folder that is removed.
    """
    # Removed from outside: what is mounted inside the folder is gone with its namespace.
    with tempfile.TemporaryDirectory(prefix="minehunt-test-") as folder:
        return _run(body, flags, folder, timeout, env)


def _run(body: str, flags: tuple[str, ...], folder: str, timeout: float, env: dict[str, str] | None) -> Any:
    code = _PRELUDE.format(repository=str(REPOSITORY), folder=folder, body=textwrap.indent(textwrap.dedent(body), "    "))
    flags = (*flags, "--kill-child") if "--fork" in flags else flags
    command = ["unshare", "--mount", "--propagation", "private", *flags, sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=patient(timeout), env=env, stdin=subprocess.DEVNULL)
    for line in result.stdout.splitlines():
        if line.startswith("ANSWER "):
            return json.loads(line[len("ANSWER ") :])
    raise AssertionError(f"no answer (exit {result.returncode}):\n{result.stdout}\n{result.stderr}")
