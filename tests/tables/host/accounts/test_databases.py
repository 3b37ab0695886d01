"""The account files line by line; what osquery's tables make of them is in tests/extension/engines/test_core_accounts.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.databases import (
    groups_by_account,
    is_login_shell,
    is_system_uid,
    parse_group,
    parse_passwd,
    parse_shadow,
    passwd_lines,
    password_state,
    uid_min,
)


def test_lines_with_their_faults() -> None:
    data = b"root:x:0:0:root:/root:/bin/bash\n# c\n+::::::\nfew:x:1:1\nmany:x:1:1::/:/bin/sh:x\nbad:x:one:1::/:\n:x:1:1::/:\n"
    found = [(line.line, line.name, line.fields, line.is_malformed, line.is_nis) for line in passwd_lines(data)]
    assert found == [
        (1, "root", 7, False, False),
        (3, "+", 7, False, True),
        (4, "few", 4, True, False),
        (5, "many", 8, True, False),
        (6, "bad", 7, True, False),
        (7, "", 7, True, False),
    ]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("", ("empty", None)),
        ("*", ("disabled", None)),
        ("!", ("disabled", None)),
        ("!!", ("disabled", None)),
        ("!*", ("disabled", None)),
        ("*LK*", ("disabled", None)),
        ("x", ("disabled", None)),
        ("$y$j9T$abc$def", ("set", "yescrypt")),
        ("!$6$a$b", ("locked", "sha512")),
        ("$5$a$b", ("set", "sha256")),
        ("$2b$10$abc", ("set", "bcrypt")),
        ("$1$a$b", ("set", "md5")),
        ("$gy$j9T$a$b", ("set", "gost-yescrypt")),
        ("abJnggxhB/yWI", ("set", "des")),
        ("_J9..K0AyUubDrgUQZX2", ("set", "bsdi")),
        ("hunter2", ("set", "unknown")),
    ],
)
def test_states_of_passwords(field: str, expected: tuple[str, str]) -> None:
    assert password_state(field) == expected


def test_days_are_seconds() -> None:
    (entry, odd) = parse_shadow(b"a:*:20000:0:99999:7::20100:\n\nb:*:-1:::::999999999999:\n")
    assert (entry.line, entry.last_change, entry.expires) == (1, 20000 * 86400, 20100 * 86400)
    assert (odd.line, odd.last_change, odd.expires) == (3, None, None)


def test_groups_of_accounts() -> None:
    accounts = parse_passwd(b"a:x:1:10::/:\nb:x:2:99::/:\n")
    groups = parse_group(b"own:x:10:\nsudo:x:27:b, a\n")
    found = {name: [group.name for group in groups] for name, groups in groups_by_account(accounts, groups).items()}
    assert found == {"a": ["own", "sudo"], "b": ["sudo"]}


def test_kinds_of_accounts() -> None:
    assert uid_min("# UID_MIN 5\nUID_MIN\t\t  500\n") == 500 and uid_min("") == 1000 and uid_min("UID_MIN 0\n") == 1000
    assert [is_system_uid(uid, 1000) for uid in (0, 1, 999, 1000, 65534)] == [False, True, True, False, True]
    assert is_login_shell("") and is_login_shell("/usr/bin/git-shell")
    assert not is_login_shell("/usr/sbin/nologin") and not is_login_shell("/bin/sync")


@given(st.binary())
def test_no_bytes_fail(data: bytes) -> None:
    assert tuple(line.account for line in passwd_lines(data) if line.account) == parse_passwd(data)
    for entry in parse_shadow(data):
        assert password_state(entry.password)[0] in ("empty", "disabled", "locked", "set")


def test_ids_may_be_left_out_in_lines_for_nis_alone() -> None:
    found = {
        line.name: line.account
        for line in passwd_lines(b"+nis:::::/home/nis:/bin/sh\n+odd:x:one:1::/:\na:x::1::/:\nb:x:1:::/:\n")
    }
    assert found["+nis"] is not None and (found["+nis"].uid, found["+nis"].gid) == (0, 0)
    assert found["+odd"] is None and found["a"] is None and found["b"] is None
