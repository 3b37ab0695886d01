"""Hardening checks of the ways to log in: the SSH server's effective settings, and the rules for passwords."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Optional

from tables.host import Host
from tables.host.accounts.pam import FOLDERS, PamRule, pam_stack
from tables.host.disk.files import Files, Unreadable
from tables.host.services.settings import Entry, last, property_entries
from tables.host.ssh.sshd_config import effective
from tables.host.ssh.sshd_settings import Setting, SshdConfig
from tables.reasons.hardening.checks import Check, Outcome, not_applicable, unknown

_LOGIN_DEFS = ("/etc/login.defs", "/usr/etc/login.defs")
_PWQUALITY = "/etc/security/pwquality.conf"
_QUALITY_MODULES = frozenset({"pam_pwquality.so", "pam_cracklib.so", "pam_passwdqc.so"})
_LOCKOUT_MODULES = frozenset({"pam_faillock.so", "pam_tally2.so", "pam_tally.so"})
_STRONG_HASHES = frozenset({"yescrypt", "gost_yescrypt", "sha512", "sha256", "bcrypt", "blowfish"})
_NUMBER = re.compile(r"-?\d{1,9}")
_MIN_LENGTH = 12
_MAX_TRIES = 6
_MAX_AGE_DAYS = 365
# pwquality.conf(5).
_DEFAULT_MIN_LENGTH = 8


def _sshd(keyword: str, is_good: Callable[[SshdConfig, str], bool]) -> Callable[[Host], Outcome]:
    """A check of one keyword: its value in force, and the values that Match blocks give it."""

    def look(host: Host) -> Outcome:
        config = effective(host.files)
        if not config.files:
            return not_applicable("no SSH server is configured")
        found = config.get(keyword)
        candidates = [(found, "")] if found else []
        candidates += [(setting, f" (Match {block.condition})") for block, setting in config.overrides(keyword)]
        for setting, where in candidates:
            if not is_good(config, setting.value):
                return _of_setting(False, setting, where)
        if config.unseen.said:
            return unknown(config.unseen.said[0])
        return _of_setting(True, candidates[0][0], "") if candidates else unknown(f"{keyword} has no known default")

    return look


def _of_setting(passed: bool, setting: Setting, where: str) -> Outcome:
    suffix = where if setting.path else " (default)"
    return Outcome(passed, f"{setting.keyword} {setting.value}{suffix}", setting.path, setting.line)


def _is_password_off(config: SshdConfig, value: str) -> bool:
    methods = config.value("authenticationmethods").split()
    if methods and methods != ["any"] and all("publickey" in method.split(",") for method in methods):
        return True
    return value.lower() == "no" and (config.value("kbdinteractiveauthentication") == "no" or config.value("usepam") == "no")


def _is_at_most(limit: int) -> Callable[[SshdConfig, str], bool]:
    return lambda _, value: _NUMBER.fullmatch(value) is not None and int(value) <= limit


def _login_defs(files: Files) -> Optional[tuple[str, list[Entry]]]:
    for path in _LOGIN_DEFS:
        if files.exists(path):
            return path, property_entries(files.read_text(path))
    return None


def _password_max_age(host: Host) -> Outcome:
    found = _login_defs(host.files)
    if found is None:
        return not_applicable("there is no login.defs")
    path, entries = found
    entry = last(entries, "PASS_MAX_DAYS")
    if entry is None or not _NUMBER.fullmatch(entry.value):
        return Outcome(False, "PASS_MAX_DAYS is not set", path)
    return Outcome(0 < int(entry.value) <= _MAX_AGE_DAYS, f"PASS_MAX_DAYS {entry.value}", path, entry.line)


def _password_stack(files: Files) -> list[PamRule]:
    return pam_stack(files, "password", "passwd", "common-password", "system-auth")


def _no_pam(files: Files) -> Optional[Outcome]:
    if any(map(files.exists, FOLDERS)):
        return None
    return not_applicable("there is no PAM")


def _password_quality(host: Host) -> Outcome:
    module = next((found for found in _password_stack(host.files) if found.name in _QUALITY_MODULES), None)
    if module is None:
        return _no_pam(host.files) or Outcome(False, "no module of the password stack checks a new password")
    return Outcome(True, module.name, module.path, module.line)


def _password_length(host: Host) -> Outcome:
    stack = _password_stack(host.files)
    module = next((found for found in stack if found.name in _QUALITY_MODULES), None)
    if module is not None and module.name == "pam_passwdqc.so":
        return Outcome(True, "pam_passwdqc asks for more of shorter passwords", module.path, module.line)
    if module is None:
        unix = next((found for found in stack if found.name == "pam_unix.so" and found.argument("minlen")), None)
        if unix is None:
            return _no_pam(host.files) or Outcome(False, "nothing sets a length that a new password must have")
        return _length(unix.argument("minlen"), unix.path, unix.line)
    if module.argument("minlen"):
        return _length(module.argument("minlen"), module.path, module.line)
    path, entry = _PWQUALITY, None
    if module.name == "pam_pwquality.so":
        # Files of the folder are read first, so that the main file has the last word (pwquality.conf(5)).
        for name in [*(p for p in host.files.paths(f"{_PWQUALITY}.d") if p.endswith(".conf")), _PWQUALITY]:
            try:
                found = last(property_entries(host.files.read_text(name)), "minlen")
            except Unreadable as error:
                if not error.is_missing:
                    raise
                continue
            path, entry = (name, found) if found else (path, entry)
    if entry is None:
        return Outcome(_DEFAULT_MIN_LENGTH >= _MIN_LENGTH, f"minlen {_DEFAULT_MIN_LENGTH} (default)", module.path, module.line)
    return _length(entry.value, path, entry.line)


def _length(value: str, path: str, line: int) -> Outcome:
    return Outcome(_NUMBER.fullmatch(value) is not None and int(value) >= _MIN_LENGTH, f"minlen {value}", path, line)


def _lockout(host: Host) -> Outcome:
    stack = pam_stack(host.files, "auth", "sshd", "login", "common-auth", "system-auth")
    module = next((found for found in stack if found.name in _LOCKOUT_MODULES), None)
    if module is None:
        return _no_pam(host.files) or Outcome(False, "no module of the login stack counts failures")
    return Outcome(True, module.name, module.path, module.line)


def _password_hash(host: Host) -> Outcome:
    for module in _password_stack(host.files):
        if module.name == "pam_unix.so":
            given = _STRONG_HASHES.intersection(module.arguments)
            if given:
                return Outcome(True, next(iter(sorted(given))), module.path, module.line)
            if not {"md5", "bigcrypt"}.isdisjoint(module.arguments):
                return Outcome(False, "md5 or bigcrypt", module.path, module.line)
    found = _login_defs(host.files)
    if found is None:
        return _no_pam(host.files) or Outcome(False, "nothing says how passwords are hashed")
    entry = last(found[1], "ENCRYPT_METHOD")
    if entry is None:
        return Outcome(False, "ENCRYPT_METHOD is not set", found[0])
    return Outcome(entry.value.lower() in _STRONG_HASHES, f"ENCRYPT_METHOD {entry.value}", found[0], entry.line)


CHECKS = (
    Check(
        "sshd_root_login",
        "ssh",
        "root cannot log in over SSH by password",
        "PermitRootLogin no, prohibit-password or forced-commands-only, in every Match block too",
        "Set `PermitRootLogin no` in /etc/ssh/sshd_config.d/10-hardening.conf, then systemctl reload sshd.",
        _sshd(
            "permitrootlogin",
            lambda _, value: value.lower() in ("no", "prohibit-password", "without-password", "forced-commands-only"),
        ),
    ),
    Check(
        "sshd_password_login",
        "ssh",
        "nobody logs in over SSH by password alone",
        "PasswordAuthentication no (and KbdInteractiveAuthentication no), or AuthenticationMethods with publickey",
        "Give every account a key, set `PasswordAuthentication no` and `KbdInteractiveAuthentication no`; systemctl reload sshd.",
        _sshd("passwordauthentication", _is_password_off),
    ),
    Check(
        "sshd_empty_passwords",
        "ssh",
        "accounts without a password cannot log in over SSH",
        "PermitEmptyPasswords no",
        "Remove `PermitEmptyPasswords yes` from /etc/ssh/sshd_config and its drop-ins; systemctl reload sshd.",
        _sshd("permitemptypasswords", lambda _, value: value.lower() == "no"),
    ),
    Check(
        "sshd_login_attempts",
        "ssh",
        "a connection over SSH ends after a few failures",
        f"MaxAuthTries {_MAX_TRIES} or less",
        f"Set `MaxAuthTries {_MAX_TRIES}` or less in /etc/ssh/sshd_config; systemctl reload sshd.",
        _sshd("maxauthtries", _is_at_most(_MAX_TRIES)),
    ),
    Check(
        "password_quality_checked",
        "password",
        "new passwords are checked for quality",
        "pam_pwquality, pam_passwdqc or pam_cracklib in the password stack",
        "apt install libpam-pwquality, or dnf install libpwquality and authselect current.",
        _password_quality,
    ),
    Check(
        "password_min_length",
        "password",
        "new passwords are long",
        f"minlen {_MIN_LENGTH} or more",
        f"Set `minlen = {_MIN_LENGTH}` in /etc/security/pwquality.conf.",
        _password_length,
    ),
    Check(
        "login_lockout",
        "password",
        "accounts are locked for a while after failed logins",
        "pam_faillock in the login stack",
        "EL: authselect enable-feature with-faillock. Debian: pam_faillock in /etc/pam.d/common-auth (man pam_faillock).",
        _lockout,
    ),
    Check(
        "password_hash",
        "password",
        "passwords are kept as strong hashes",
        "yescrypt, sha512, sha256 or bcrypt",
        "Set `ENCRYPT_METHOD YESCRYPT` (or SHA512) in /etc/login.defs; have passwords with older hashes changed.",
        _password_hash,
    ),
    Check(
        "password_max_age",
        "password",
        "passwords are changed regularly",
        f"PASS_MAX_DAYS {_MAX_AGE_DAYS} or less",
        f"Set `PASS_MAX_DAYS {_MAX_AGE_DAYS}` in /etc/login.defs, and for accounts that exist: chage -M {_MAX_AGE_DAYS} USER.",
        _password_max_age,
    ),
)
