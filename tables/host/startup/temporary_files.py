"""What systemd-tmpfiles puts into places that start programs, at boot and with every package (tmpfiles.d(5))."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple, Optional

from tables.host.startup.entries import StartupEntry, StartupFiles

_FOLDERS = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d", "/lib/tmpfiles.d")
_USER_FOLDERS = ("/etc/user-tmpfiles.d", "/usr/share/user-tmpfiles.d")
_HOME_FOLDER = ".config/user-tmpfiles.d"
# Type with modifiers, path, mode, user, group, age; the argument is the rest of the line.
_FIELD = re.compile(r"\s*(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\S+)")
_FIELDS = 6
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([nt\\]))")
_ESCAPED = {"n": "\n", "t": "\t", "\\": "\\"}
_WRITES = frozenset("fFw")
_SETS_MODE = frozenset("fFdDvqQzZmCe")
_RUN_BITS = 0o6000
# Where a file is started by something, read by what starts programs, or found in PATH.
_START_PLACE = re.compile(
    r"/(?:etc/(?:cron|anacrontab|systemd/|init\.d|inittab|rc|profile|bash|zsh|environment|ld\.so|pam\.d/|sudoers|ssh/|udev/|xdg/"
    r"|X11/|modules|modprobe|update-motd|apt/|dpkg/|yum|dnf|NetworkManager/|network/|logrotate|sysctl|binfmt|supervisor|passwd|shadow)"
    r"|run/(?:systemd/(?:system|user|transient|generator)|udev/)|var/spool/(?:cron|at)|root/\.|home/[^/]+/\."
    r"|(?:usr/(?:local/)?)?(?:s?bin|lib(?:32|64|exec)?)/|proc/sys/(?:kernel/(?:core_pattern|modprobe|hotplug)|fs/binfmt_misc)"
    r"|sys/(?:kernel/uevent_helper|fs/cgroup/.*release_agent))"
)


class TmpfilesLine(NamedTuple):
    """One line: the type without its modifiers, mode bits (None for `-`), and the argument with escapes resolved."""

    line: int
    kind: str
    path: str
    mode: Optional[int]
    argument: str
    text: str

    @property
    def judged(self) -> Optional[str]:
        """Shell text that comes to the same; None where the line neither starts something later nor gives rights."""
        path = shlex.quote(self.path)
        if self.kind in _SETS_MODE and self.mode is not None and self.mode & _RUN_BITS and not self.kind.lower().startswith("d"):
            return f"chmod {self.mode:o} {path}"
        if not _START_PLACE.match(self.path) or not self.argument:
            return None
        if self.kind in _WRITES:
            if self.path.startswith(("/proc/", "/sys/")):
                return self.argument.lstrip("|")
            return f"echo {shlex.quote(self.argument)} > {path}"
        # What is copied or linked there is what will be started.
        return shlex.quote(self.argument) if self.kind in "CL" else None


def parse_tmpfiles(text: str) -> Iterator[TmpfilesLine]:
    """Yield the lines of a tmpfiles.d file; those without type or path do nothing. Linear in the text."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields: list[str] = []
        position = 0
        while len(fields) < _FIELDS and (match := _FIELD.match(line, position)) is not None:
            word = match[1]
            fields.append(word[1:-1] if word[0] in "\"'" and len(word) > 1 and word[-1] == word[0] else word)
            position = match.end()
        if len(fields) < 2 or not fields[0]:
            continue
        mode = fields[2].lstrip("~:") if len(fields) > 2 else "-"
        yield TmpfilesLine(
            number,
            fields[0][0],
            fields[1],
            int(mode, 8) if re.fullmatch(r"[0-7]{1,6}", mode) else None,
            _argument(line[position:].strip(), "~" in fields[0]),
            line.strip(),
        )


def tmpfiles_lines(source: StartupFiles) -> Iterator[StartupEntry]:
    """The lines that write, copy or link into start-up places, and those that set setuid or setgid bits."""
    for file in source.read_each(source.winners(_FOLDERS, ".conf")):
        for found in parse_tmpfiles(file.text):
            if found.judged is not None:
                yield StartupEntry("tmpfiles", "boot", file, found.line, found.text, run_as="root", judged=found.judged)
    for file in source.read_each(source.winners(_USER_FOLDERS, ".conf")):
        for found in parse_tmpfiles(file.text):
            if found.judged is not None:
                yield StartupEntry("tmpfiles", "login", file, found.line, found.text, judged=found.judged)
    for account, _, file in source.below_homes(folders=[_HOME_FOLDER]):
        for found in source.first(parse_tmpfiles(file.text), file):
            # %h is the account's home.
            path, argument = (text.replace("%h", account.home) for text in (found.path, found.argument))
            there = found._replace(path=path, argument=argument)
            if there.judged is not None:
                yield StartupEntry(
                    "tmpfiles", "login", file, found.line, found.text, run_as=account.name, home=account.home, judged=there.judged
                )


def _argument(text: str, is_base64: bool) -> str:
    if text == "-":
        return ""
    if is_base64:
        try:
            return base64.b64decode(text, validate=True).decode("utf-8", "replace")
        except (ValueError, binascii.Error):
            return ""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED[match[2]], text)
