"""Which of two package versions is newer, by the rules of dpkg, rpm and apk; each returns a number below, at or above zero."""

from __future__ import annotations

import re
from typing import Optional

_RPM_PARTS = re.compile(r"\d+|[a-zA-Z]+|[~^]")
_APK = re.compile(r"(\d+(?:\.\d+)*)([a-z]?)((?:_[a-z]+\d*)*)(?:~[0-9a-f]+)?(?:-r(\d+))?")
_APK_SUFFIX = re.compile(r"_([a-z]+)(\d*)")
# apk-tools, src/version.c: the first four come before the plain version, the others after it.
_APK_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")


def compare_deb(one: str, other: str) -> int:
    """deb-version(7): epoch, upstream version, revision."""
    first, second = _parts(one), _parts(other)
    return first[0] - second[0] or _compare_deb_part(first[1], second[1]) or _compare_deb_part(first[2], second[2])


def _parts(version: str) -> tuple[int, str, str]:
    """Epoch, upstream version and revision (dpkg) or release (rpm), which both write alike."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return _number(epoch), upstream if dash else revision, revision if dash else ""


def _compare_deb_part(one: str, other: str) -> int:
    """Digits and other text by turns; `~` comes before the end, letters before all else."""
    i = j = 0
    while i < len(one) or j < len(other):
        while (i < len(one) and not _is_digit(one[i])) or (j < len(other) and not _is_digit(other[j])):
            difference = _deb_order(one[i : i + 1]) - _deb_order(other[j : j + 1])
            if difference:
                return difference
            i, j = i + 1, j + 1
        first, i = _digits(one, i)
        second, j = _digits(other, j)
        if first != second:
            return first - second
    return 0


def _is_digit(character: str) -> bool:
    return "0" <= character <= "9"


def _deb_order(character: str) -> int:
    if character == "~":
        return -1
    if not character or _is_digit(character):
        return 0
    return ord(character) if character.isalpha() and character.isascii() else ord(character) + 256


def _digits(text: str, start: int) -> tuple[int, int]:
    end = start
    while end < len(text) and _is_digit(text[end]):
        end += 1
    return _number(text[start:end]), end


def _number(text: str) -> int:
    """A number of a version; one too long to be one is cut, since Python takes long for such."""
    return int(text[:100]) if text[:100].isascii() and text[:100].isdigit() else 0


def compare_rpm(one: str, other: str) -> int:
    """`[epoch:]version-release` by rpmvercmp (rpm, rpmio/rpmvercmp.c)."""
    first, second = _parts(one), _parts(other)
    return first[0] - second[0] or _compare_rpm_part(first[1], second[1]) or _compare_rpm_part(first[2], second[2])


def _compare_rpm_part(one: str, other: str) -> int:
    first, second = _RPM_PARTS.findall(one), _RPM_PARTS.findall(other)
    for index in range(max(len(first), len(second))):
        left: Optional[str] = first[index] if index < len(first) else None
        right: Optional[str] = second[index] if index < len(second) else None
        if left == right:
            continue
        # `~` comes before the end of the version, `^` just after it, and before anything else.
        for mark, absent in (("~", -1), ("^", 1)):
            if mark in (left, right):
                if left == mark:
                    return absent if right is None else -1
                return -absent if left is None else 1
        if left is None or right is None:
            return -1 if left is None else 1
        if left.isdigit() and right.isdigit():
            if _number(left) != _number(right):
                return _number(left) - _number(right)
        elif left.isdigit() != right.isdigit():
            return 1 if left.isdigit() else -1
        else:
            return 1 if left > right else -1
    return 0


def compare_apk(one: str, other: str) -> int:
    """apk-tools' versions: digits{.digits}{letter}{_suffix{number}}{-r#}; what has another form equals everything."""
    first, second = _APK.fullmatch(one), _APK.fullmatch(other)
    if first is None or second is None:
        return 0
    keys = (_apk_key(first), _apk_key(second))
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


def _apk_key(match: re.Match[str]) -> tuple[tuple[int, ...], str, tuple[tuple[int, int], ...], int]:
    suffixes = []
    for name, number in _APK_SUFFIX.findall(match[3]):
        rank = _APK_SUFFIXES.index(name) if name in _APK_SUFFIXES else _APK_SUFFIXES.index("")
        suffixes.append((rank, _number(number)))
    plain = (_APK_SUFFIXES.index(""), 0)
    return tuple(map(_number, match[1].split("."))), match[2], (*suffixes, plain), _number(match[4] or "")
