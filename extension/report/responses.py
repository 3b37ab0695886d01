"""What to do about a finding: the pack's response, with the finding's own values in its commands, quoted for a shell."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from extension.engines import ResultRow
from extension.report.values import VALUE_SHOWN

# A response is repeated for at most so many different findings.
RESPONSES_SHOWN = 5
_TOKEN = re.compile(r"`(?P<code>[^`]*)`|<(?P<blank>[a-z0-9_]+)>")
_BARE_IN_SHELL = re.compile(r"[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*")
# Signs and letters of Chinese text; it has the Latin signs as well.
_CHINESE = r"\u3000-\u9fff\uff00-\uffef"
# A quoted value must be a word of its own: these may stand before and after it.
_BEFORE_WORD = re.compile(rf"(^|[\s=;,:{_CHINESE}])$")
_AFTER_WORD = re.compile(rf"$|[\s;,){_CHINESE}]|[.:](\s|$)")

# Commands are set apart to be copied. In the pack they stand among prose: they begin with one of these names and go on
# through words that hold more than letters, subcommands, and the one word that follows some of these.
_COMMANDS = (
    "apt", "apt-get", "authselect", "busybox", "cat", "chage", "chattr", "chmod", "chown", "cp", "crontab", "debsums", "dmesg",
    "dnf", "docker", "dpkg", "dpkg-reconfigure", "file", "find", "fuser", "getent", "gpasswd", "grep", "id", "journalctl", "kill",
    "last", "lastcomm", "loginctl", "ls", "lsattr", "minehunt", "modinfo", "modprobe", "mount", "passwd", "perf", "pkill", "ps",
    "pwck", "redis-cli", "rpm", "sed", "sha256sum", "ss", "sshd", "ssh-keygen", "stat", "sysctl", "systemctl", "systemd-delta",
    "tcpdump", "tr", "ufw", "umount", "usermod", "visudo",
)  # fmt: skip
_SUBCOMMANDS = (
    "cat", "daemon-reload", "default", "disable", "dst", "enable", "exe", "export", "host", "passwd", "pause", "ps", "query",
    "record", "revert", "root", "show-user", "sport", "status", "top",
)  # fmt: skip
_TAKES_A_WORD = ("allow", "default deny", "install", "reinstall", "reload", "restart", "--now", "--", "-i", "-o", "-r", "-u")
_NAME = "|".join(map(re.escape, _COMMANDS))
# Of the signs of a sentence, those are part of a word that more of a word follows, and not the next command.
_CHARACTER = rf"(?:[^\s;,:.()`{_CHINESE}]|(?!,(?:{_NAME}) )[,:.](?=[A-Za-z0-9_/<*+-]))"
_WORD = "|".join(
    (
        r'"[^"]*"',
        rf"(?:\||&&) (?:{_NAME})",
        rf"(?:{'|'.join(_TAKES_A_WORD)}) {_CHARACTER}+",
        "|".join(_SUBCOMMANDS),
        rf"(?=[^\s{_CHINESE}]*[-/<>=|*'@0-9:]){_CHARACTER}+",
    )
)
_COMMAND = re.compile(rf"(?<![\w./<-])(?:{_NAME})(?: (?:{_WORD})(?!{_CHARACTER}))+")


class Segment(NamedTuple):
    """A piece of a text.

    Its kind is `text`, `command` (for a shell), `code` (a name), `value` (the host's, in a command quoted where needed) or
    `blank` (left to fill in).
    """

    kind: str
    text: str


Segments = tuple[Segment, ...]


def prose(text: str) -> Segments:
    """A text of the pack, its `code` told from the rest."""
    return responses(text, ())[0]


def responses(text: str, rows: Sequence[ResultRow]) -> tuple[Segments, ...]:
    """The response with `<column>` filled in from each row, each different one once, where no shell could misread a value.

    With no rows, or too many different ones to print, it is the response as the pack has it.
    """
    filled = dict.fromkeys(_fill(text, row) for row in rows)
    return tuple(filled) if 0 < len(filled) <= RESPONSES_SHOWN else (_fill(text, {}),)


def plain(segments: Segments) -> str:
    """The segments as one text, as the pack's author wrote it."""
    return "".join(f"`{text}`" if kind == "code" else text for kind, text in segments)


def _fill(text: str, row: ResultRow) -> Segments:
    segments: list[Segment] = []
    commands = [match.span() for match in _COMMAND.finditer(text)]
    end = 0
    for match in _TOKEN.finditer(text):
        segments += _pieces(text, end, match.start(), commands)
        end = match.end()
        if match["code"] is not None:
            segments.append(Segment("code", match["code"]))
        else:
            word = _shell_word(row.get(match["blank"], ""), text[: match.start()], text[end:])
            segments.append(Segment("blank", match[0]) if word is None else Segment("value", word))
    segments += _pieces(text, end, len(text), commands)
    return tuple(segments)


def _pieces(text: str, start: int, end: int, commands: Sequence[tuple[int, int]]) -> Iterator[Segment]:
    """text[start:end] as `text` and `command` pieces."""
    for first, last in commands:
        if start < end and last > start and first < end:
            if first > start:
                yield Segment("text", text[start:first])
            yield Segment("command", text[max(first, start) : min(last, end)])
            start = min(last, end)
    if start < end:
        yield Segment("text", text[start:end])


def _shell_word(value: str, before: str, after: str) -> Optional[str]:
    """`value` as a word for the shell; None where it could be taken for an option, for two words, or for other text."""
    if len(value) > VALUE_SHOWN:
        return None
    if _BARE_IN_SHELL.fullmatch(value):
        return value
    is_own_word = _BEFORE_WORD.search(before) and _AFTER_WORD.match(after)
    is_quoted_already = before.count("'") % 2 or before.count('"') % 2
    if not value or value.startswith("-") or not is_own_word or is_quoted_already:
        return None
    return shlex.quote(value) if all(map(_reads_as_it_is, value)) else None


def _reads_as_it_is(character: str) -> bool:
    return character.isprintable() and unicodedata.bidirectional(character) not in ("R", "AL", "AN")
