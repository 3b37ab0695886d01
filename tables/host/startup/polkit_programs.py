"""Programs that polkit's rules start to decide about a request (polkit(8))."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tables.host.accounts.polkit import RULE_FOLDERS, spawned_programs
from tables.host.startup.entries import StartupEntry, StartupFiles


def polkit_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """What polkit.spawn() runs as polkitd, in the rules of all folders."""
    for file in source.read_each(path for folder in RULE_FOLDERS for path in source.paths(folder) if path.endswith(".rules")):
        for number, words in spawned_programs(file.text):
            yield StartupEntry("polkit", "authorization", file, number, shlex.join(words))
