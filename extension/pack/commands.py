"""What a command of a response may do: read, write into the folder for evidence, or change what its row names, and no more."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from extension.pack.parts import COLUMN, Query, columns_of
from tables.text.shell import parse

# Programs that only read, with these options at most where they could do more.
_READERS = frozenset({
    "bpftool", "cat", "cmp", "file", "fuser", "getcap", "getent", "grep", "id", "journalctl", "last", "ls", "lsattr", "minehunt",
    "modinfo", "perf", "ps", "sha256sum", "ss", "stat", "systemd-delta", "tcpdump", "tr",
})  # fmt: skip
# Programs that change what their operands name.
_CHANGERS = frozenset({"chattr", "chmod", "chown", "kill", "passwd", "rm", "setcap", "umount", "usermod"})
# Programs of which only these subcommands or options are for a response, and whether those change something.
_PARTLY = {
    "chage": {"-l": False},
    "cp": {"--no-clobber": False},
    "crontab": {"-l": False},
    "docker": {"pause": True, "update": True, "export": False, "inspect": False, "diff": False},
    "find": {"/": False},
    "ip": {"route": True},
    "loginctl": {"show-user": False},
    "sed": {"-n": False, "-i": True},
    "systemctl": {"cat": False, "status": False, "disable": True, "--user": True},
}
_TOO_WIDE = frozenset({"-delete", "-exec", "-execdir", "-ok", "-R", "-r", "-rf", "-fr", "--recursive", "-1", "--all"})
_READS_RECURSIVELY = frozenset({"grep", "ls"})
_EVIDENCE = "$CASE"
_WILDCARD = re.compile(r"[*?]")


def problems(query: Query, columns: Collection[str]) -> Iterator[str]:
    """What is wrong with the steps of a query's response; `columns` are those that it selects."""
    for step in query.response:
        named = [*columns_of(step.text.en), *columns_of(step.text.zh), *columns_of(step.command), step.when, step.unless]
        for name in sorted({name for name in named if name} - set(columns)):
            yield f"`response` names the column `{name}`, which the query does not select"
        # A policy is about the host's settings; a detection about what its row names.
        if step.command and query.kind == "detection":
            for message in _of_command(step.command):
                yield f"`{step.command}`: {message}"


def _of_command(command: str) -> Iterator[str]:
    for part in parse(COLUMN.sub(r"COLUMN_\1", command)).commands:
        if part.substitutions or not part.words:
            yield "substitutes what no reader can foresee" if part.substitutions else "not understood"
            continue
        yield from _of_words(list(part.words))
        for redirection in part.redirections:
            if ">" in redirection.operator and not redirection.target.startswith(_EVIDENCE):
                yield f'writes to {redirection.target}; what a response keeps goes to "{_EVIDENCE}/…"'


def _of_words(words: list[str]) -> Iterator[str]:
    program, rest = words[0], words[1:]
    partly = _PARTLY.get(program)
    if partly is not None:
        chosen = [partly[word] for word in rest if word in partly]
        if not chosen:
            yield f"{program} is for a response with {' or '.join(sorted(partly))} only"
            return
        changes = any(chosen)
    elif program in _CHANGERS:
        changes = True
    elif program in _READERS:
        changes = False
    else:
        yield f"{program} is not known to change only what its row names"
        return
    for word in rest:
        is_meant = program in _READS_RECURSIVELY or (program, word) == ("setcap", "-r")
        if (word in _TOO_WIDE and not is_meant) or (program, word) == ("fuser", "-k"):
            yield f"{word} changes more than its row names"
    if program == "cp" and not rest[-1].startswith(_EVIDENCE):
        yield f'copies to {rest[-1]}; what a response keeps goes to "{_EVIDENCE}/…"'
    if changes:
        if not any("COLUMN_" in word for word in rest):
            yield "names nothing of its row"
        if any(_WILDCARD.search(word) for word in rest):
            yield "a wildcard changes more than its row names"
