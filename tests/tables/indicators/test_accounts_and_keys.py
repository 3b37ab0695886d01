"""The lists of keys, groups and service accounts: complete, and matched as they say."""

from __future__ import annotations

import re

import pytest

from tables.indicators.accounts import admin_groups, service_accounts_with_shell
from tables.indicators.loader import load_yaml
from tables.indicators.ssh_keys import known_key, known_keys


@pytest.mark.parametrize(
    ("file", "section"),
    [("ssh_keys.yaml", "keys"), ("accounts.yaml", "admin_groups"), ("accounts.yaml", "service_accounts_with_shell")],
)
def test_every_entry_has_its_source_and_date(file: str, section: str) -> None:
    for entry in load_yaml(file)[section]:
        assert entry["source"] and re.fullmatch(r"20\d\d-\d\d-\d\d", str(entry["date"]))


def test_known_keys_by_fingerprint_and_by_comment() -> None:
    for entry in known_keys():
        assert entry.kind in ("malware", "published")
        assert entry.fingerprint or entry.comment
        if entry.fingerprint:
            assert re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", entry.fingerprint)
            assert known_key(entry.fingerprint, "") == entry
        if entry.comment:
            assert known_key("", f"x {entry.comment.upper()}") == entry
    found = known_key("SHA256:x", "root@MDRFCKR")
    assert found is not None and found.kind == "malware"
    assert known_key("SHA256:x", "anna@desktop") is None and known_key("SHA256:x", "") is None


def test_groups_and_accounts() -> None:
    assert {"sudo", "wheel", "docker", "lxd"} <= admin_groups()
    assert "admin" not in admin_groups() and "users" not in admin_groups()
    assert "postgres" in service_accounts_with_shell()
