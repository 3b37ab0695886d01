"""What tells the dynamic loader to load more than a program asks for: its files, variables and mappings, as pure parsers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

# Libraries that the loader puts into a program, and the folders in which it looks for libraries first (ld.so(8)).
LIBRARY_VARIABLES = ("LD_PRELOAD", "LD_AUDIT")
FOLDER_VARIABLE = "LD_LIBRARY_PATH"

_VARIABLE = re.compile(r"(?<![A-Za-z0-9_])(LD_PRELOAD|LD_AUDIT|LD_LIBRARY_PATH)=")
_UNIT_ASSIGNMENT = re.compile(r"\s*(?:Default)?Environment\s*=")
_WORD = re.compile(r"(?:\\.|[^\s;&|'\"])*")
_COMMENT = re.compile(r"#[^\n]*")
_MAPPED = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ [r-][w-]x[ps] [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d{1,20}) +(/[^\n]*)$", re.MULTILINE)
_ESCAPE = re.compile(rb"\\012")
_MAX_ENTRIES = 1000
_MAX_PATH = 4096
_MAX_PRELOAD = 8 << 20
_MUCH_PADDING = 4096
_BLANKS = b" \t\n\r\v\f:\0"
_ENDS = frozenset(b"%c" % code for code in _BLANKS + b"#")
_PRELOAD_TOKEN = re.compile(rb"[ \t\n\r\v\f:\0]+|#|[^ \t\n\r\v\f:\0#]+")
# Tokens that the loader replaces; what $LIB and $PLATFORM stand for depends on how glibc was built.
_LIB_FOLDERS = ("lib64", "lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib/arm-linux-gnueabihf", "lib32")
_PLATFORMS = ("x86_64", "haswell", "aarch64", "v8l", "v7l", "v6l", "i686")


class Setting(NamedTuple):
    """One variable set in a file: line number from 1, variable, the libraries or folders that it names."""

    line: int
    variable: str
    values: tuple[str, ...]


class Mapping(NamedTuple):
    """One file mapped with the right to execute: device, inode, path as the kernel writes it."""

    device: str
    inode: int
    path: str


class PreloadFile:
    """Reads /etc/ld.so.preload in pieces: `entries` are (line, library), `padding` the bytes of blanks and comments.

    Libraries are separated by blanks or colons; comments reach from `#` to the end of the line. `missed` says which bound was
    met, "" when none was.
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = []
        self.padding = 0
        self.missed = ""
        self._line = 1
        self._read = 0
        self._is_comment = False
        self._word = b""

    @property
    def is_hiding(self) -> bool:
        """Whether more than 4 KiB of it are blanks and comments."""
        return self.padding > _MUCH_PADDING

    def feed(self, piece: bytes) -> bool:
        """Read the next piece; false when no more is wanted."""
        self._read += len(piece)
        if not self._is_comment and not piece.strip(_BLANKS):
            # Megabytes of blanks are passed over at the speed of the computer.
            self._end()
            self._pad(piece)
            return self._goes_on()
        at = 0
        while at < len(piece):
            if self._is_comment:
                end = piece.find(b"\n", at)
                self._is_comment = end < 0
                end = len(piece) if end < 0 else end
                self._pad(piece[at:end])
            else:
                found = _PRELOAD_TOKEN.match(piece, at)
                end = found.end() if found else len(piece)
                self._token(piece[at:end])
            at = end
        return self._goes_on()

    def _token(self, token: bytes) -> None:
        if token == b"#":
            self._is_comment = True
        if token[:1] in _ENDS:
            self._end()
            self._pad(token)
        elif len(self._word) < _MAX_PATH:
            self._word += token[:_MAX_PATH]

    def end(self) -> None:
        """The file has ended."""
        self._end()

    def _goes_on(self) -> bool:
        if len(self.entries) >= _MAX_ENTRIES:
            self.missed = f"only the first {_MAX_ENTRIES} entries were read"
        elif self._read >= _MAX_PRELOAD:
            self.missed = f"only the first {_MAX_PRELOAD >> 20} MiB were read"
        return not self.missed

    def _pad(self, token: bytes) -> None:
        self.padding += len(token)
        self._line += token.count(b"\n")

    def _end(self) -> None:
        if self._word and len(self.entries) < _MAX_ENTRIES:
            self.entries.append((self._line, self._word.decode("utf-8", "surrogateescape")))
        self._word = b""


def parse_ld_so_preload(text: str) -> list[tuple[int, str]]:
    """(line, library) of each entry in /etc/ld.so.preload, of the first thousand."""
    file = PreloadFile()
    file.feed(text.encode("utf-8", "surrogateescape"))
    file.end()
    return file.entries


def split_value(variable: str, value: str) -> tuple[str, ...]:
    """The libraries (LD_PRELOAD, LD_AUDIT) or folders (LD_LIBRARY_PATH) that a variable's value names (ld.so(8))."""
    separators = {"LD_PRELOAD": r"[ :]+", "LD_AUDIT": ":+"}.get(variable, "[:;]+")
    return tuple(part for part in re.split(separators, value) if part)[:_MAX_ENTRIES]


def parse_environ(data: bytes) -> dict[str, tuple[str, ...]]:
    """The loader's variables in a process's environment (/proc/PID/environ) by name; others are not looked at."""
    found: dict[str, tuple[str, ...]] = {}
    if b"LD_" not in data:
        return found
    for entry in data.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and name in (b"LD_PRELOAD", b"LD_AUDIT", b"LD_LIBRARY_PATH"):
            variable = name.decode("ascii")
            # Of a variable that is there twice the loader takes the last.
            found[variable] = split_value(variable, os.fsdecode(value))
    return found


def parse_settings(text: str) -> Iterator[Setting]:
    """Yield where a text (systemd unit, environment file, shell profile) sets a variable of the loader; comments do not count."""
    if "LD_" not in text:
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(("#", ";")):
            continue
        is_unit = _UNIT_ASSIGNMENT.match(line) is not None
        match = _VARIABLE.search(line)
        while match:
            # systemd quotes a whole assignment; a quote before one elsewhere encloses a command.
            before = line[match.start() - 1 : match.start()] if is_unit else ""
            start, end = _value(line, match.end(), before if before in ("'", '"') else "")
            yield Setting(number, match[1], split_value(match[1], line[start:end].replace("\\", "")))
            match = _VARIABLE.search(line, end)


def _value(line: str, start: int, quote: str) -> tuple[int, int]:
    """Where the value that begins at `start` lies, its quotes left out."""
    if not quote and line[start : start + 1] in ("'", '"'):
        quote, start = line[start], start + 1
    if quote:
        end = line.find(quote, start)
        return start, end if end >= 0 else len(line)
    word = _WORD.match(line, start)
    return start, word.end() if word else start


def parse_ld_so_conf(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, folder) of each folder in an ld.so.conf file; `include` and `hwcap` lines are left to the caller."""
    for number, line in enumerate(text.split("\n"), 1):
        for word in re.split(r"[\s:,]+", _COMMENT.sub("", line)):
            if word.startswith("/"):
                yield number, word.partition("=")[0]
            elif word:
                break


def parse_text_mappings(data: bytes) -> set[Mapping]:
    """The files that a process maps to execute them, from /proc/PID/maps (proc_pid_maps(5))."""
    return {
        Mapping(device.decode("ascii"), int(inode), os.fsdecode(_ESCAPE.sub(b"\n", path)))
        for device, inode, path in _MAPPED.findall(data)
    }


def spellings(library: str, folders: tuple[str, ...]) -> Iterator[str]:
    """Where the loader may find `library`: its path with $LIB and $PLATFORM filled in, or a bare name in `folders`.

    $ORIGIN is the program's own folder; such a path is yielded as it is written.
    """
    # Longer than any path, and what tokens stand for would make a thousand of it.
    names = [library[:_MAX_PATH]]
    for token, values in (("LIB", _LIB_FOLDERS), ("PLATFORM", _PLATFORMS)):
        for written in (f"${{{token}}}", f"${token}"):
            names = [name.replace(written, value) for name in names for value in (values if written in name else ("",))]
    for name in names:
        if "/" in name:
            yield name
        else:
            yield from (f"{folder}/{name}" for folder in folders)


def library_stem(path: str) -> Optional[str]:
    """What all versions of a library share: `libz` of /usr/lib/libz.so.1.2.13, `libc` of libc-2.31.so; None when it is none."""
    found = re.match(r"(.+?)(?:-\d[\d.]*)?\.so(?:\.|$)", path.rpartition("/")[2])
    return found[1] if found else None
