"""What the Exec…= directives of systemd's unit files start, with specifiers and variables filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tables.host.systemd.managers import Manager
from tables.host.systemd.syntax import (
    COMMAND_KEYS,
    COMMAND_SECTIONS,
    MAX_COMMAND,
    Setting,
    exec_commands,
    expand_specifiers,
    expand_variables,
    split_name,
    values,
)

_TEMPORARY = {"T": "/tmp", "V": "/var/tmp"}  # noqa: S108 - read, never written


class UnitCommand(NamedTuple):
    """A command of a unit: the directive that holds it, its text as written, and the words that systemd would run."""

    setting: Setting
    text: str
    words: tuple[str, ...]


def unit_commands(
    settings: Iterable[Setting], specifiers: dict[str, str], environment: dict[str, str], keys: Iterable[str] = COMMAND_KEYS
) -> Iterator[UnitCommand]:
    """The commands of these assignments in their order; what an empty assignment takes back is left out.

    `*` stands in the words for a specifier that the files do not tell, such as a template's instance.
    """
    settings = list(settings)
    held = [setting for section in COMMAND_SECTIONS for setting in values(settings, section, *keys)]
    for setting in sorted(held, key=lambda one: one.line):
        for command in exec_commands(setting.value):
            words = [expand_specifiers(word, specifiers) for word in command.words]
            if ":" not in command.prefixes:
                words = expand_variables(words, environment)
            if words:
                yield UnitCommand(setting, command.text, tuple(_cut(words)))


def _cut(words: list[str]) -> Iterator[str]:
    """The words up to MAX_COMMAND characters: variables can make a short line huge."""
    left = MAX_COMMAND
    for word in words:
        if left <= 0:
            return
        yield word[:left]
        left -= len(word) + 1


def unit_specifiers(manager: Manager, name: str) -> dict[str, str]:
    """The specifiers of systemd.unit(5) for the unit `name`, as far as the name and the account tell them."""
    prefix, instance, kind = split_name(name)
    found = {"n": name, "N": name[: -len(kind) - 1], "p": prefix, "P": _unescape(prefix), **_TEMPORARY}
    if instance:
        found.update(i=instance, I=_unescape(instance))
    final = prefix.rpartition("-")[2]
    found.update(j=final, J=_unescape(final), f="/" + _unescape(instance or prefix).lstrip("/"))
    account = manager.account
    if manager.scope == "system":
        found.update(h="/root", u="root", U="0", g="root", G="0", s="/bin/sh")
        found.update(t="/run", E="/etc", S="/var/lib", C="/var/cache", L="/var/log")
    elif account is not None:
        home = account.home.rstrip("/")
        found.update(h=home, u=account.name, U=str(account.uid), G=str(account.gid), s=account.shell)
        found.update(t=f"/run/user/{account.uid}", E=f"{home}/.config", S=f"{home}/.local/state")
        found.update(C=f"{home}/.cache", L=f"{home}/.local/state/log")
    return found


def _unescape(text: str) -> str:
    r"""`-` stands for `/` in a unit's name, `\x2d` for `-` (systemd-escape(1))."""
    parts = text.replace("-", "/").split("\\x")
    return parts[0] + "".join(
        chr(int(part[:2], 16)) + part[2:] if len(part) > 1 and _is_hexadecimal(part[:2]) else "\\x" + part for part in parts[1:]
    )


def _is_hexadecimal(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)
