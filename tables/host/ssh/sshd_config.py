"""OpenSSH's server configuration as sshd reads it: includes followed, Match blocks kept apart (sshd_config(5))."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from tables.host.disk.files import Files, Unreadable
from tables.host.ssh.sshd_settings import Criterion, MatchBlock, Setting, SshdConfig, Version
from tables.unseen import Unseen

# SUSE keeps the vendor's file in /usr/etc, in force while there is none in /etc.
_CONFIGS = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
_PROGRAMS = ("/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd")
_VERSION = re.compile(rb"OpenSSH_(\d{1,3})\.(\d{1,3})")
_FILE_LIMIT = 1 << 20
_MAX_FILES = 256
_MAX_LINES = 200_000
_MAX_CRITERIA = 100
# SERVCONF_MAX_DEPTH in OpenSSH's servconf.c.
_MAX_DEPTH = 16

_LINE = re.compile(r"[ \t\r\f\v]*([A-Za-z][A-Za-z0-9]*)(?:[ \t]*=[ \t]*|[ \t]+|\s*$)(.*)", re.DOTALL)
# A backslash escapes these, and a blank outside of quotes; before all else it stands for itself (argv_split in misc.c).
_ESCAPABLE = "\"'\\"

# Older names of keywords (servconf.c).
_ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "hostdsakey": "hostkey",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "dsaauthentication": "pubkeyauthentication",
}
_SYNONYMS = {("permitrootlogin", "without-password"): "prohibit-password"}
# Keywords whose value is the rest of the line, quotes and all.
_RAW = frozenset({"authorizedkeyscommand", "authorizedprincipalscommand", "forcecommand", "subsystem", "versionaddendum"})


def effective(files: Files) -> SshdConfig:
    """The settings that sshd on this host reads; Unreadable when the main file is there but cannot be read.

    Not seen: options on sshd's command line (`-o`, `-f`), among them those of EL's crypto policies.
    """
    reader = _Reader(files)
    main = next((path for path in _CONFIGS if files.exists(path)), None)
    if main is not None:
        reader.read(main, 0, ())
    return SshdConfig(
        tuple(reader.files),
        {keyword: tuple(found) for keyword, found in reader.settings.items()},
        tuple(MatchBlock(*block[:3], tuple(block.settings)) for block in reader.matches if block.settings),
        reader.unseen,
        installed_version(files),
    )


def installed_version(files: Files) -> Optional[Version]:
    """The version that the sshd program on disk carries in its text; None when there is none to read."""
    for path in _PROGRAMS:
        try:
            found = _VERSION.search(files.read(path))
        except Unreadable:
            continue
        if found:
            return int(found[1]), int(found[2])
    return None


def parse_line(line: str) -> Optional[tuple[str, tuple[str, ...], str]]:
    """(keyword in small letters, arguments without quotes, rest of the line) of one line; None for blank and comment."""
    found = _LINE.match(line)
    if found is None:
        return None
    rest = found[2].strip()
    return found[1].lower(), split_arguments(rest), rest


def split_arguments(text: str) -> tuple[str, ...]:
    """The arguments in `text` as OpenSSH's argv_split reads them: quotes removed, a comment at the end left off."""
    arguments: list[str] = []
    word: Optional[list[str]] = None
    quote = ""
    position = 0
    while position < len(text):
        letter = text[position]
        following = text[position + 1 : position + 2]
        position += 1
        if not quote and letter.isspace():
            if word is not None:
                arguments.append("".join(word))
            word = None
            continue
        if letter == "#" and word is None:
            break
        word = [] if word is None else word
        if letter == "\\" and following and (following in _ESCAPABLE or (following == " " and not quote)):
            word.append(following)
            position += 1
        elif letter == quote:
            quote = ""
        elif letter in "\"'" and not quote:
            quote = letter
        else:
            word.append(letter)
    if word is not None:
        arguments.append("".join(word))
    return tuple(arguments)


def authorized_keys_files(setting: Setting, username: str, uid: int, home: str) -> Iterator[tuple[str, str]]:
    """(pattern, path) of each file that an AuthorizedKeysFile setting means for an account: %h, %u, %U and %% replaced."""
    tokens = {"%%": "%", "%h": home, "%u": username, "%U": str(uid)}
    for pattern in setting.arguments:
        if pattern.lower() != "none":
            path = re.sub("%[%huU]", lambda token: tokens[token[0]], pattern)
            yield pattern, path if path.startswith("/") else posixpath.join(home, path)


class _Reader:
    """Reads a configuration file and what it includes, into what `effective` returns."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lines = 0
        self.files: list[str] = []
        self.settings: dict[str, list[Setting]] = {}
        self.matches: list[_Block] = []
        self.unseen = Unseen()

    def read(self, path: str, depth: int, outer: tuple[Criterion, ...]) -> None:
        """Read one file; `outer` is the condition of the Match block that includes it, () outside of any."""
        data = self._files.read(path, _FILE_LIMIT + 1)
        if len(data) > _FILE_LIMIT:
            self.unseen.truncate(f"{path}: only the first {_FILE_LIMIT} bytes were read")
        self.files.append(path)
        # A Match block ends with its file.
        into = self._block(path, 0, outer).settings if outer else None
        criteria = outer
        for number, line in enumerate(data[:_FILE_LIMIT].decode("utf-8", "surrogateescape").split("\n"), 1):
            parsed = parse_line(line)
            if parsed is None:
                continue
            self._lines += 1
            if self._lines > _MAX_LINES:
                self.unseen.truncate(f"{path}:{number}: what follows was not read, after {_MAX_LINES} lines")
                return
            keyword, arguments, rest = parsed
            if keyword == "include":
                self._include(f"{path}:{number}", arguments, depth, criteria)
                if into is not None:
                    # What follows comes after what was included.
                    into = self._block(path, number, criteria).settings
            elif keyword == "match":
                criteria = (*outer, *parse_criteria(arguments))[:_MAX_CRITERIA]
                into = self._block(path, number, criteria).settings
            else:
                setting = _setting(keyword, arguments, rest, path, number)
                if into is None:
                    self.settings.setdefault(setting.keyword, []).append(setting)
                else:
                    into.append(setting)

    def _block(self, path: str, line: int, criteria: tuple[Criterion, ...]) -> _Block:
        block = _Block(path, line, criteria, [])
        self.matches.append(block)
        return block

    def _include(self, place: str, patterns: Iterable[str], depth: int, criteria: tuple[Criterion, ...]) -> None:
        if depth >= _MAX_DEPTH:
            self.unseen.truncate(f"{place}: includes are more than {_MAX_DEPTH} deep")
            return
        for pattern in patterns:
            full = pattern if pattern.startswith("/") else posixpath.join("/etc/ssh", pattern)
            try:
                paths = list(_glob(self._files, full))
            except Unreadable as error:
                self.unseen.could_not_see(str(error))
                continue
            for path in paths:
                if len(self.files) >= _MAX_FILES:
                    self.unseen.truncate(f"{place}: not included, after {_MAX_FILES} files")
                    return
                try:
                    self.read(path, depth + 1, criteria)
                except Unreadable as error:
                    self.unseen.could_not_see(str(error))


class _Block(NamedTuple):
    path: str
    line: int
    criteria: tuple[Criterion, ...]
    settings: list[Setting]


def parse_criteria(arguments: Iterable[str]) -> Iterator[Criterion]:
    """The conditions of a Match line; each is `name patterns` or, in newer versions, `name=patterns`."""
    pending = iter(arguments)
    for word in pending:
        name, has_value, patterns = word.partition("=")
        if not has_value and name.lower() not in ("all", "invalid-user"):
            patterns = next(pending, "")
        yield Criterion(name.lower(), patterns)


def _setting(keyword: str, arguments: tuple[str, ...], rest: str, path: str, line: int) -> Setting:
    name = _ALIASES.get(keyword, keyword)
    value = rest if name in _RAW else " ".join(arguments)
    return Setting(name, _SYNONYMS.get((name, value.lower()), value), arguments, path, line)


def _glob(files: Files, pattern: str) -> Iterator[str]:
    """The existing paths that `pattern` names, in lexical order (glob(7)); hidden names only where the pattern spells the dot."""
    folders = [""]
    for part in filter(None, pattern.split("/")):
        if not any(letter in part for letter in "*?["):
            folders = [path for folder in folders if files.exists(path := f"{folder}/{part}")]
            continue
        folders = [
            f"{folder}/{name}"
            for folder in folders
            for name in files.names(folder or "/")
            if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
        ]
    yield from folders
