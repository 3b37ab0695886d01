"""What sudoers gives to whom, and which of that is odd."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tables.host.accounts.databases import Account, Group
from tables.host.accounts.sudoers import Sudoers, means, spellings
from tables.host.accounts.sudoers_syntax import Defaults, Rule
from tables.reasons.commands import place_reasons

_LOADER_VARIABLES = frozenset({"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "BASH_ENV"})


# Named without arguments, so that any may be given (sudoers(5)).
_RUNS_ANYTHING = re.compile(
    r"/(?:usr/)?(?:local/)?s?bin/(?:(?:ba|da|z|k|c|tc|fi)?sh|python[\d.]*|perl[\d.]*|ruby[\d.]*|php[\d.]*|node|lua[\d.]*|find|vim?|nano|g?awk|env|chroot"
    r"|nsenter|unshare|busybox|tclsh|expect|su)"
)


class Granted(NamedTuple):
    """What one account may do: its rules (`path:line: text`), whether without a password, and what is odd about that."""

    rules: tuple[str, ...]
    is_nopasswd: bool
    reasons: frozenset[str]


class Entry(NamedTuple):
    """An entry that is no one account's: whom it means as written, where it is, and what is odd about it."""

    who: str
    path: str
    line: int
    text: str
    is_nopasswd: bool
    reasons: frozenset[str]


class SudoJudge:
    """Judges the rules of one host; it remembers which of them some account has been given."""

    def __init__(self, sudoers: Sudoers) -> None:
        self._sudoers = sudoers
        self._users = [sudoers.expand("User", rule.users) for rule in sudoers.rules]
        # Thousands of accounts against thousands of rules: each account is compared with those only that spell it out.
        self._by_user: dict[str, list[int]] = {}
        for number, users in enumerate(self._users):
            for user in dict.fromkeys(users):
                self._by_user.setdefault(user, []).append(number)
        self._granted: set[int] = set()

    def of_account(self, account: Account, groups: Sequence[Group], is_system: bool) -> Granted:
        """The rules that name the account or its groups; those for everyone are in `of_nobody`."""
        sudoers = self._sudoers
        ids = [(group.name, group.gid) for group in groups]
        account_is = spellings(account.name, account.uid, ids)
        rules = []
        reasons: set[str] = set()
        is_nopasswd = any(
            entry.kind == ":" and _asks_no_password(entry) and sudoers.names(entry.scope, account.name, account.uid, ids)
            for entry in sudoers.defaults
        )
        for number in sorted({number for user in account_is for number in self._by_user.get(user, ())}):
            rule = sudoers.rules[number]
            if "ALL" in self._users[number] or not means(self._users[number], account_is):
                continue
            self._granted.add(number)
            rules.append(f"{rule.path}:{rule.line}: {rule.text}")
            commands = sudoers.commands(rule)
            is_nopasswd = is_nopasswd or any(command.is_nopasswd for command in commands)
            if is_system and self._gives_all(rule):
                reasons.add("nopasswd_sudo")
            reasons |= self._odd_programs(rule)
        return Granted(tuple(rules), is_nopasswd, frozenset(reasons))

    def of_nobody(self) -> Iterator[Entry]:
        """Rules for everyone, for a group or an account that is not here, and Defaults that open a way; last of all."""
        for number, rule in enumerate(self._sudoers.rules):
            if number in self._granted:
                continue
            reasons = self._odd_programs(rule)
            # SUSE ships a rule for everyone that asks for root's password (targetpw).
            if "ALL" in self._users[number] and self._gives_all(rule):
                reasons.add("sudo_for_everyone")
            is_nopasswd = any(command.is_nopasswd for command in self._sudoers.commands(rule))
            yield Entry(", ".join(rule.users), rule.path, rule.line, rule.text, is_nopasswd, frozenset(reasons))
        for entry in self._sudoers.defaults:
            reasons = set()
            if not entry.kind and _asks_no_password(entry):
                reasons.add("sudo_for_everyone")
            if any(_keeps_loader_variable(setting) for setting in entry.settings):
                reasons.add("sudo_keeps_loader_variable")
            if reasons:
                who = ", ".join(entry.scope) or "ALL"
                yield Entry(who, entry.path, entry.line, entry.text, _asks_no_password(entry), frozenset(reasons))

    def _gives_all(self, rule: Rule) -> bool:
        """Whether a rule lets run everything without a password, or a program that runs anything with any arguments."""
        return any(
            command.is_nopasswd and (command.command == "ALL" or _RUNS_ANYTHING.fullmatch(command.command))
            for command in self._sudoers.commands(rule)
        )

    def _odd_programs(self, rule: Rule) -> set[str]:
        commands = {command.command for command in self._sudoers.commands(rule)} - {"ALL"}
        is_odd = any(map(place_reasons, commands))
        return {"suspicious_sudo_command"} if is_odd else set()


def _asks_no_password(entry: Defaults) -> bool:
    return "!authenticate" in entry.settings


def _keeps_loader_variable(setting: str) -> bool:
    return setting.startswith(("env_keep", "env_check")) and bool(
        _LOADER_VARIABLES.intersection(setting.replace('"', " ").replace("=", " ").split())
    )
