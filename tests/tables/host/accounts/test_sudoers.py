"""sudoers as sudo reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.sudoers import Sudoers, read_sudoers
from tables.host.accounts.sudoers_syntax import logical_lines, parse_defaults, parse_rule, split_list
from tables.host.disk.files import Files, Unreadable


def sudoers(root: Path, text: str, **files: str) -> Sudoers:
    (root / "etc/sudoers.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/sudoers").write_text(text)
    for name, content in files.items():
        (root / "etc/sudoers.d" / name).write_text(content)
    return read_sudoers(Files(str(root)))


def permissions(text: str) -> list[tuple[str, str, bool]]:
    rule = parse_rule("/etc/sudoers", 1, text)
    assert rule is not None
    return [tuple(permission) for permission in rule.permissions]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root ALL=(ALL:ALL) ALL", [("ALL", "ALL:ALL", False)]),
        ("ubuntu ALL=(ALL) NOPASSWD:ALL", [("ALL", "ALL", True)]),
        ("a ALL = NOPASSWD: /a, PASSWD: /b -x, /c", [("/a", "", True), ("/b -x", "", False), ("/c", "", False)]),
        ("a h1=(www) NOPASSWD: SETENV: /bin/a : h2, h3 = /bin/b", [("/bin/a", "www", True), ("/bin/b", "", False)]),
        (r"a ALL=/bin/x a\=b\,c\:d", [(r"/bin/x a\=b\,c\:d", "", False)]),
        ("a ALL=TIMEOUT=5 CWD=/ NOPASSWD: sha224:abcd= /bin/a", [("/bin/a", "", True)]),
        ("a ALL=(ALL) ALL, !/bin/sh", [("ALL", "ALL", False), ("!/bin/sh", "ALL", False)]),
    ],
)  # fmt: skip
def test_rules(text: str, expected: list[tuple[str, str, bool]]) -> None:
    assert permissions(text) == expected


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("anna, %wheel ALL=ALL", ("anna", "%wheel")),
        ('"%domain users", !bob h1, h2 = ALL', ("%domain users", "!bob")),
        (r"%domain\ users ALL=ALL", ("%domain users",)),
        ("#1000 ALL=ALL", ("#1000",)),
        ("ALL, ! root ALL=ALL", ("ALL", "!root")),
    ],
)
def test_users(text: str, users: tuple[str, ...]) -> None:
    rule = parse_rule("/etc/sudoers", 1, text)
    assert rule is not None and rule.users == users


@pytest.mark.parametrize("text", ["nonsense", "= ALL", "anna", "anna ALL", "anna=ALL", "anna ALL="])
def test_what_is_no_rule(text: str) -> None:
    assert parse_rule("/etc/sudoers", 1, text) is None


def test_lines_comments_and_continuations() -> None:
    text = "# comment\n\nanna ALL=(ALL) \\\n  ALL # mine\n#1000 ALL=ALL\n#includedir /etc/sudoers.d\n\\\n"
    assert list(logical_lines(text)) == [
        (3, "anna ALL=(ALL)   ALL"), (5, "#1000 ALL=ALL"), (6, "#includedir /etc/sudoers.d"),
    ]  # fmt: skip


def test_files_are_read_where_they_are_included(tmp_path: Path) -> None:
    found = sudoers(
        tmp_path,
        "Defaults env_reset\nroot ALL=(ALL) ALL\n@includedir /etc/sudoers.d\nlast ALL=ALL\n@include sudoers.d/one.more\n",
        b="second ALL=ALL\n",
        a="first ALL=NOPASSWD: ALL\n",
        **{"old~": "no ALL=ALL\n", "x.dpkg-dist": "no ALL=ALL\n", "one.more": "more ALL=ALL\n", "bad": "what is this\n"},
    )
    assert [(rule.users[0], rule.path, rule.line) for rule in found.rules] == [
        ("root", "/etc/sudoers", 2),
        ("first", "/etc/sudoers.d/a", 1),
        ("second", "/etc/sudoers.d/b", 1),
        ("last", "/etc/sudoers", 4),
        ("more", "/etc/sudoers.d/one.more", 1),
    ]
    assert found.unseen.said == ("/etc/sudoers.d/bad:1: not understood",)
    assert found.defaults[0].settings == ("env_reset",)


def test_aliases_and_negation(tmp_path: Path) -> None:
    found = sudoers(
        tmp_path,
        "User_Alias ADMINS = anna, %staff, !bob : OPS = ADMINS, carl\n"
        "Cmnd_Alias SHELLS = /bin/sh, /bin/bash\n"
        "OPS ALL=SHELLS, !/bin/su\n",
    )
    (rule,) = found.rules
    assert [permission.command for permission in found.commands(rule)] == ["/bin/sh", "/bin/bash"]

    def may(name: str, *groups: tuple[str, int]) -> bool:
        return found.names(rule.users, name, 1000, groups)

    assert may("anna") and may("carl") and may("dora", ("staff", 50))
    assert not may("bob", ("staff", 50)) and not may("eve")


def test_uids_groups_by_id_and_everyone(tmp_path: Path) -> None:
    found = sudoers(tmp_path, "#1001 ALL=ALL\n%#27 ALL=ALL\nALL, !root ALL=ALL\n+netgroup ALL=ALL\n")
    named = [found.names(rule.users, "a", 1001, [("sudo", 27)]) for rule in found.rules]
    assert named == [True, True, True, False]
    assert not found.names(found.rules[2].users, "root", 0, [])


def test_aliases_that_name_one_another(tmp_path: Path) -> None:
    found = sudoers(tmp_path, "User_Alias A = B, anna\nUser_Alias B = A\nA ALL=ALL\n")
    assert found.names(("A",), "anna", 1, []) and not found.names(("A",), "bob", 2, [])
    wide = "".join(f"User_Alias A{n} = {', '.join([f'A{n + 1}'] * 20)}\n" for n in range(30))
    for end in ("", "User_Alias A30 = \n"):
        assert not sudoers(tmp_path, wide + end + "A0 ALL=ALL\n").names(("A0",), "bob", 2, [])


def test_defaults() -> None:
    found = parse_defaults("/etc/sudoers", 1, 'Defaults:anna,%ops !authenticate, env_keep += "A B"')
    assert found is not None
    assert (found.kind, found.scope, found.settings) == (":", ("anna", "%ops"), ("!authenticate", 'env_keep += "A B"'))
    assert parse_defaults("/etc/sudoers", 1, "DefaultsX y") is None


def test_no_sudo_and_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_sudoers(Files(str(tmp_path))).files == ()
    (tmp_path / "etc/sudoers").mkdir(parents=True)
    with pytest.raises(Unreadable, match="/etc/sudoers"):
        read_sudoers(Files(str(tmp_path)))


@pytest.mark.parametrize("tail", ["X:" * 400_000, "(" * 800_000, "h=c:" * 200_000, "a," * 400_000])
def test_entries_of_a_megabyte_are_passed_over_and_said(tmp_path: Path, tail: str) -> None:
    found = sudoers(tmp_path, f"anna ALL={tail}\nbob ALL=ALL\nanna ALL={tail[:30_000]}\n")
    assert found.rules[0].users == ("bob",)
    assert found.unseen.said[0] == "/etc/sudoers:1: longer than 32768 letters, not read"


def test_includes_that_never_end(tmp_path: Path) -> None:
    found = sudoers(tmp_path, "@include sudoers\n@include sudoers\nanna ALL=ALL\n")
    assert len(found.files) <= 256 and found.unseen.said


@given(st.text())
def test_no_text_fails(text: str) -> None:
    for line, entry in logical_lines(text):
        assert line >= 1 and entry
        parse_rule("/etc/sudoers", line, entry)
        parse_defaults("/etc/sudoers", line, entry)


@given(st.lists(st.from_regex(r"[a-z0-9/ -]+", fullmatch=True), min_size=1))
def test_a_list_is_split_at_its_separators(items: list[str]) -> None:
    assert split_list(",".join(items), ",") == [item.strip() for item in items]


def test_aliases_within_aliases_cannot_grow_without_bound(tmp_path: Path) -> None:
    names = [f"A{number}" for number in range(200)]
    text = "".join(f"User_Alias {one} = {', '.join([other] * 4000)}\n" for one, other in zip(names, names[1:]))
    found = sudoers(tmp_path, text)
    assert len(found.expand("User", ["A0", "root"])) <= 10_000


def test_a_backslash_that_is_itself_escaped_joins_no_lines() -> None:
    assert list(logical_lines("a ALL = /bin/x \\\\\nb ALL = ALL\n")) == [(1, "a ALL = /bin/x \\\\"), (2, "b ALL = ALL")]
    assert list(logical_lines("a ALL = \\\nALL\n")) == [(1, "a ALL = ALL")]


def test_quotes_end_where_they_are_closed() -> None:
    assert list(logical_lines('Defaults badpass = "a # b" # a comment\n')) == [(1, 'Defaults badpass = "a # b"')]
    assert split_list('"a,b",c', ",") == ['"a,b"', "c"]
    assert split_list("a,b,c", ",", 1) == ["a", "b,c"] and split_list("a,b,c", ",", 0) == ["a,b,c"]
    assert parse_rule("/etc/sudoers", 1, "=ALL") is None and parse_rule("/etc/sudoers", 1, "a = ALL") is None
