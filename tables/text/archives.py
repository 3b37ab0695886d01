"""What commands unpack, and where to: tar, unzip, 7z, cpio, gunzip and their like."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

_TARS = frozenset({"tar", "bsdtar", "gtar", "star"})
_SEVEN_ZIPS = frozenset({"7z", "7za", "7zr", "7zz", "unrar"})
# Programs that take one file for another without an ending; the second kind only when told to.
_UNPACK_ONE = frozenset({"gunzip", "bunzip2", "unxz", "unlzma", "unzstd", "uncompress", "lz4"})
_PACK_ONE = frozenset({"gzip", "bzip2", "xz", "lzma", "zstd", "pigz"})
UNPACKERS = _TARS | _SEVEN_ZIPS | _UNPACK_ONE | _PACK_ONE | {"unzip", "cpio"}
_ENDING = re.compile(r"\.(?:gz|bz2|xz|lzma|zst|Z|lz4)$")
# tar(1): letters that take a value.
_TAR_VALUED = "fCbTXIFgHKLNV"


class Unpacked(NamedTuple):
    """The archive, None for what is piped in; where its files go, "." for the folder at hand; the one file that it becomes."""

    archive: Optional[str]
    folder: Optional[str] = None
    file: Optional[str] = None


def unpacked(name: str, arguments: Sequence[str]) -> Optional[Unpacked]:
    """What the program `name` unpacks with these arguments, None where it does not (tar(1), unzip(1), gzip(1), cpio(1))."""
    if name not in UNPACKERS:
        return None
    if name in _TARS:
        return _tar(arguments)
    plain = [word for word in arguments if not word.startswith("-")]
    if name == "unzip":
        folder = _value(arguments, "-d")
        return Unpacked(plain[0], folder or ".") if plain else None
    if name in _SEVEN_ZIPS:
        folders = [word[2:] for word in arguments if word.startswith("-o")]
        return Unpacked(plain[1], folders[0] if folders else ".") if len(plain) > 1 and plain[0] in ("x", "e") else None
    if name == "cpio":
        is_read = any(word.startswith("-") and "i" in word.lstrip("-")[:4] for word in arguments)
        return Unpacked(None, _value(arguments, "-D") or ".") if is_read else None
    return _one(name, arguments, plain)


def _one(name: str, arguments: Sequence[str], plain: Sequence[str]) -> Optional[Unpacked]:
    letters = "".join(word for word in arguments if word.startswith("-") and not word.startswith("--"))
    if name in _PACK_ONE and "d" not in letters and "--decompress" not in arguments:
        return None
    if not plain:
        return Unpacked(None)
    is_printed = "c" in letters or "--stdout" in arguments
    return Unpacked(plain[0], file=None if is_printed else _ENDING.sub("", plain[0]))


def _tar(arguments: Sequence[str]) -> Optional[Unpacked]:
    values: dict[str, str] = {}
    is_extracting = False
    index = 0
    while index < len(arguments):
        word = arguments[index]
        index += 1
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            is_extracting |= name in ("extract", "get")
            letter = {"file": "f", "directory": "C"}.get(name)
            if letter and not equals and index < len(arguments):
                value = arguments[index]
                index += 1
            if letter:
                values[letter] = value
        elif word.startswith("-") or index == 1:
            is_old = not word.startswith("-")
            letters = word.lstrip("-")
            for at, letter in enumerate(letters):
                is_extracting |= letter == "x"
                if letter in _TAR_VALUED:
                    # A dash makes the rest of the word its value.
                    rest = "" if is_old else letters[at + 1 :]
                    values[letter] = rest or (arguments[index] if index < len(arguments) else "")
                    index += not rest
                    if not is_old:
                        break
    if not is_extracting:
        return None
    archive = values.get("f")
    return Unpacked(None if archive in (None, "", "-", "/dev/stdin") else archive, values.get("C") or ".")


def _value(arguments: Sequence[str], option: str) -> Optional[str]:
    return next((arguments[at + 1] for at, word in enumerate(arguments[:-1]) if word == option), None)


def repository_folder(place: str) -> str:
    """The folder that a clone of a repository at a URL gets where none is named (git-clone(1))."""
    return os.path.basename(place.rstrip("/")).removesuffix(".git")
