"""Rules of PAM, doas and polkit that let somebody in, or become root, without a password."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from tables.host.accounts.doas import CONFIG_FOLDER, CONFIGS, parse_doas
from tables.host.accounts.pam import FOLDERS, PamRule, parse_pam
from tables.host.accounts.polkit import AUTHORITY_FOLDERS, RULE_FOLDERS, open_authorities, open_rules
from tables.host.disk.files import Files, Unreadable
from tables.reasons.commands import place_reasons
from tables.schema import QueryContext

_FILE_LIMIT = 1 << 20
_MAX_FILES = 1000
# Succeeding ends the stack, or jumps over what would have asked (pam.conf(5)).
_ENDS_STACK = re.compile(r"\bsuccess=(?:done|\d)")
# pam_succeed_if(8): conditions that hold for every account.
_ALL_UIDS = re.compile(
    r"\b[ug]id[ \t]+(?:(?:>=|ge)[ \t]+-?0+|(?:>|gt)[ \t]+-\d+|(?:!=|ne)[ \t]+-\d+|(?:<=?|l[te])[ \t]+\d{7,10})(?=\s|$)"
)
_ALL_USERS = re.compile(r"\buser[ \t]+(?:=|=~)[ \t]+\*(?=\s|$)")
_CONDITION = re.compile(r"\b(?:user|uid|gid|shell|home|ruser|rhost|tty|service)[ \t]+\S+[ \t]+\S+")


class OpenDoor(NamedTuple):
    """A rule: of what (`pam`, `doas`, `polkit`), whom it means as written, where it is, its text, and what is odd about it."""

    kind: str
    who: str
    path: str
    line: int
    text: str
    reasons: tuple[str, ...]


def accepts_anyone(rule: PamRule) -> bool:
    """Whether a rule ends the authentication of everybody with success: `sufficient` pam_permit, or a condition always true."""
    if rule.phase != "auth" or not (rule.control == "sufficient" or _ENDS_STACK.search(rule.control)):
        return False
    name = rule.name.removesuffix(".so")
    if name == "pam_succeed_if":
        universal = len(_ALL_UIDS.findall(rule.text)) + len(_ALL_USERS.findall(rule.text))
        return 0 < universal == len(_CONDITION.findall(rule.text))
    return name == "pam_permit"


def open_doors(files: Files, query: QueryContext, services: Collection[str]) -> Iterator[OpenDoor]:
    """The odd rules of the host; `services` are the names of its system accounts. What could not be read is said."""
    yield from _of(files, query, ("/etc/pam.conf",), FOLDERS, "", _pam)
    yield from _of(files, query, (), RULE_FOLDERS, ".rules", _polkit)
    authorities = [path for folder in AUTHORITY_FOLDERS for path in _paths(files, query, folder)]
    yield from _of(files, query, (), authorities, ".pkla", _polkit)
    yield from _of(files, query, CONFIGS, (CONFIG_FOLDER,), "", lambda text, path: _doas(text, path, services))


def _of(
    files: Files,
    query: QueryContext,
    paths: Collection[str],
    folders: Collection[str],
    ending: str,
    judge: Callable[[str, str], Iterator[OpenDoor]],
) -> Iterator[OpenDoor]:
    listed = [path for folder in folders for path in _paths(files, query, folder) if path.endswith(ending)]
    for path in (*paths, *listed):
        query.check_time()
        try:
            text = files.read_text(path, _FILE_LIMIT + 1)
        except Unreadable as error:
            if not error.is_missing and error.why != "not a regular file":
                query.could_not_see(str(error))
            continue
        if len(text) > _FILE_LIMIT:
            query.truncate(f"{path}: only the first {_FILE_LIMIT} characters were read")
        yield from judge(text[:_FILE_LIMIT], path)


def _paths(files: Files, query: QueryContext, folder: str) -> list[str]:
    try:
        found = list(files.paths(folder))
    except Unreadable as error:
        query.could_not_see(str(error))
        return []
    if len(found) > _MAX_FILES:
        query.truncate(f"{folder}: only the first {_MAX_FILES} entries were looked at")
    return found[:_MAX_FILES]


def _pam(text: str, path: str) -> Iterator[OpenDoor]:
    for rule in parse_pam(text, path):
        if accepts_anyone(rule):
            words = f"{rule.phase} {rule.control} {rule.module} {rule.text}".strip()
            yield OpenDoor("pam", path.rpartition("/")[2], path, rule.line, words, ("pam_accepts_anyone",))


def _polkit(text: str, path: str) -> Iterator[OpenDoor]:
    for rule in open_authorities(text) if path.endswith(".pkla") else open_rules(text):
        yield OpenDoor("polkit", "everybody", path, rule.line, rule.text, ("polkit_allows_everybody",))


def _doas(text: str, path: str, services: Collection[str]) -> Iterator[OpenDoor]:
    for rule in parse_doas(text):
        # Administrators and their groups are spared the password on purpose.
        odd = {
            "nopasswd_doas": rule.is_nopass and rule.target == "root" and rule.who.lstrip(":") in services,
            "suspicious_doas_command": bool(rule.command and place_reasons(shlex.quote(rule.command))),
        }
        reasons = tuple(reason for reason, holds in odd.items() if holds)
        if reasons:
            yield OpenDoor("doas", rule.who, path, rule.line, rule.text, reasons)
