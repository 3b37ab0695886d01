"""A process's arguments and variables as far as they can speak of mining, however many there are."""

from __future__ import annotations

import os
from typing import Optional

from tables.host.processes.procfs import Procfs
from tables.host.processes.string_lists import END_BYTES, Strings, read_strings
from tables.indicators.miner_words import miner_words
from tables.unseen import Unseen

_VARIABLES = (b"POOL", b"WALLET", b"MIN", b"XMR", b"MONERO", b"STRATUM", b"stratum", b"PAYOUT", b"=4", b"=8")


def arguments(procfs: Procfs, pid: int, unseen: Unseen) -> Strings:
    """The command line, none for a kernel thread or zombie; of very many arguments those that can speak of mining."""
    found = read_strings(procfs, pid, "cmdline", miner_words().telling_arguments) or Strings([], 0, "")
    if found.missed:
        unseen.truncate(f"process {pid}: arguments: {found.missed}")
    return found


def variables(data: bytes) -> dict[str, str]:
    """The variables of an environment (`NAME=value` and a NUL each), names in capitals; none where none can speak of mining."""
    if not any(word in data for word in _VARIABLES):
        return {}
    pairs = (entry.partition("=") for entry in os.fsdecode(data).split("\0"))
    return {name.upper(): value for name, equals, value in pairs if equals and value}


def environment(procfs: Procfs, pid: int, unseen: Unseen) -> Optional[bytes]:
    """What it was started with, `NAME=value` and a NUL each, of very much what can speak of mining; None when not readable."""
    data = procfs.environ(pid, END_BYTES)
    if data is None or len(data) < END_BYTES:
        return data
    found = read_strings(procfs, pid, "environ", miner_words().telling_variables)
    if found is None:
        return data
    if found.missed:
        unseen.truncate(f"process {pid}: environment: {found.missed}")
    return os.fsencode("\0".join(found.kept))
