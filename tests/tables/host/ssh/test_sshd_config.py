"""sshd's configuration as sshd reads it, on planted files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.files import Files, Unreadable
from tables.host.ssh.sshd_config import authorized_keys_files, effective, parse_criteria, parse_line, split_arguments
from tables.host.ssh.sshd_settings import Criterion, SshdConfig


def config(root: Path, **files: str) -> SshdConfig:
    for name, text in {"sshd_config": "", **files}.items():
        path = root / "etc/ssh" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return effective(Files(str(root)))


def where(found: SshdConfig, keyword: str) -> object:
    setting = found.get(keyword)
    return None if setting is None else (setting.value, setting.path, setting.line)


def test_the_first_value_wins_and_cumulative_keywords_add_up(tmp_path: Path) -> None:
    found = config(tmp_path, sshd_config="Port 22\nPORT = 2222\npermitrootlogin without-password\nPermitRootLogin yes\n")
    assert where(found, "PermitRootLogin") == ("prohibit-password", "/etc/ssh/sshd_config", 3)
    assert [setting.value for setting in found.values("port")] == ["22", "2222"]
    assert [setting.value for setting in found.values("permitrootlogin")] == ["prohibit-password"]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ('AllowUsers anna "b c" # all of them', ("anna", "b c")),
        ("Banner=/etc/issue", ("/etc/issue",)),
        ("Banner = /etc/a#b", ("/etc/a#b",)),
        (r'Banner "say \"hi\" \n"', (r'say "hi" \n',)),
        (r"AuthorizedKeysFile a\ b 'c d'e", ("a b", "c de")),
        ('Banner "unfinished', ("unfinished",)),
        ('Banner ""', ("",)),
    ],
)
def test_arguments(line: str, arguments: tuple[str, ...]) -> None:
    found = parse_line(line)
    assert found is not None and found[1] == arguments


@pytest.mark.parametrize("line", ["", "   ", "# Port 22", "\t#", "=no", "\x00"])
def test_lines_without_a_setting(line: str) -> None:
    assert parse_line(line) is None


def test_includes_stand_where_they_are_and_come_in_lexical_order(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        sshd_config="UsePAM yes\nInclude sshd_config.d/*.conf /etc/ssh/none\nPasswordAuthentication yes\nUsePAM no\n",
        **{
            "sshd_config.d__20-b.conf": "PasswordAuthentication yes\nX11Forwarding yes\n",
            "sshd_config.d__10-a.conf": "UsePAM no\nPasswordAuthentication no\n",
            "sshd_config.d__.hidden.conf": "MaxAuthTries 99\n",
            "sshd_config.d__note.txt": "MaxAuthTries 98\n",
        },
    )
    assert where(found, "usepam") == ("yes", "/etc/ssh/sshd_config", 1)
    assert where(found, "passwordauthentication") == ("no", "/etc/ssh/sshd_config.d/10-a.conf", 2)
    assert found.value("maxauthtries") == "6"
    assert found.files == (
        "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/10-a.conf", "/etc/ssh/sshd_config.d/20-b.conf",
    )  # fmt: skip
    assert found.unseen.said == ()


def test_match_blocks(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        sshd_config=(
            "PasswordAuthentication no\n"
            "Match User git,deploy-*\n  PasswordAuthentication yes\n  AuthorizedKeysFile /srv/keys/%u\n"
            "Match Group !interns,staff Address 10.0.0.0/8\n  AuthorizedKeysFile /etc/ssh/staff/%u\n"
            "Match all\n  X11Forwarding yes\n"
        ),
    )
    assert found.value("passwordauthentication") == "no"
    assert [block.condition for block in found.matches] == [
        "user git,deploy-*", "group !interns,staff address 10.0.0.0/8", "all",
    ]  # fmt: skip
    assert [(block.line, setting.value) for block, setting in found.overrides("passwordauthentication")] == [(2, "yes")]

    def files(user: str, *groups: str) -> list[str]:
        return [setting.value for setting in found.for_user("AuthorizedKeysFile", user, groups)]

    default = ".ssh/authorized_keys .ssh/authorized_keys2"
    assert files("deploy-1") == ["/srv/keys/%u"]
    assert files("anna", "staff") == ["/etc/ssh/staff/%u", default]
    assert files("bob", "staff", "interns") == [default]
    assert [setting.value for setting in found.for_user("x11forwarding", "bob", [])] == ["yes"]


def test_a_match_block_ends_with_its_file_and_an_include_in_it_is_conditional(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        sshd_config="Include a.conf\nMaxAuthTries 3\nMatch User bob\n  Include b.conf\n  MaxSessions 1\n",
        **{"a.conf": "Match User anna\n  PermitTTY no\n", "b.conf": "MaxSessions 9\nMatch Group x\n  Banner none\n"},
    )
    assert found.value("maxauthtries") == "3"
    assert [(block.condition, [setting.keyword for setting in block.settings]) for block in found.matches] == [
        ("user anna", ["permittty"]),
        ("user bob", ["maxsessions"]),
        ("user bob group x", ["banner"]),
        ("user bob", ["maxsessions"]),
    ]
    assert [setting.value for setting in found.for_user("maxsessions", "bob", [])] == ["9"]


def test_includes_that_never_end_and_unreadable_ones(tmp_path: Path) -> None:
    (tmp_path / "etc/ssh/d.conf").mkdir(parents=True)
    found = config(tmp_path, sshd_config="Include sshd_config d.conf\nPort 2022\n")
    assert found.value("port") == "2022"
    assert any("deep" in problem for problem in found.unseen.said)
    assert any("d.conf: not a regular file" in problem for problem in found.unseen.said)


def test_a_wide_fan_of_includes_is_cut(tmp_path: Path) -> None:
    found = config(tmp_path, sshd_config="Include sshd_config sshd_config sshd_config\n" * 5)
    assert len(found.files) == 256
    assert any("after 256 files" in problem for problem in found.unseen.said)


def test_no_configuration_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert effective(Files(str(tmp_path))).files == ()
    (tmp_path / "etc/ssh/sshd_config").mkdir(parents=True)
    with pytest.raises(Unreadable, match="/etc/ssh/sshd_config"):
        effective(Files(str(tmp_path)))


def test_suse_keeps_the_vendors_file_in_usr_etc(tmp_path: Path) -> None:
    path = tmp_path / "usr/etc/ssh/sshd_config"
    path.parent.mkdir(parents=True)
    path.write_text("UsePAM yes\n")
    assert where(effective(Files(str(tmp_path))), "usepam") == ("yes", "/usr/etc/ssh/sshd_config", 1)


@pytest.mark.parametrize(("version", "expected"), [("OpenSSH_6.6.1p1", "yes"), ("OpenSSH_9.2p1", "prohibit-password")])
def test_defaults_are_those_of_the_installed_version(tmp_path: Path, version: str, expected: str) -> None:
    program = tmp_path / "usr/sbin/sshd"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF\0\0" + version.encode() + b"\0")
    assert config(tmp_path).value("permitrootlogin") == expected


def test_tokens_of_authorized_keys_files(tmp_path: Path) -> None:
    found = config(tmp_path, sshd_config="AuthorizedKeysFile .ssh/k /etc/keys/%u/%U %h/x%%y none\n")
    setting = found.get("authorizedkeysfile")
    assert setting is not None
    assert [path for _, path in authorized_keys_files(setting, "anna", 1000, "/home/anna")] == [
        "/home/anna/.ssh/k", "/etc/keys/anna/1000", "/home/anna/x%y",
    ]  # fmt: skip


def test_criteria_of_both_spellings() -> None:
    assert list(parse_criteria(["User", "a,b", "group=staff", "All"])) == [
        Criterion("user", "a,b"), Criterion("group", "staff"), Criterion("all", ""),
    ]  # fmt: skip


@given(st.text())
def test_arguments_never_fail(text: str) -> None:
    assert all(isinstance(argument, str) for argument in split_arguments(text))
    found = parse_line(text)
    assert found is None or found[0].islower() or found[0].isascii()


@given(st.lists(st.from_regex(r"[a-z0-9/._%-]+", fullmatch=True)))
def test_plain_words_are_their_own_arguments(words: list[str]) -> None:
    assert split_arguments("  ".join(words)) == tuple(words)


def test_blanks_and_quotes_that_are_escaped() -> None:
    assert split_arguments('a\\ b "c\\ d" \\"e f\\') == ("a b", "c\\ d", '"e', "f\\")


def test_includes_name_files_by_pattern_and_by_name(tmp_path: Path) -> None:
    (tmp_path / "etc/ssh/sshd_config.d").mkdir(parents=True)
    (tmp_path / "etc/ssh/sshd_config.d/a.conf").write_text("Port 1\n")
    (tmp_path / "etc/ssh/sshd_config.d/plain").write_text("Port 2\n")
    (tmp_path / "etc/ssh/sshd_config.d/.hidden.conf").write_text("Port 3\n")
    found = config(tmp_path, sshd_config='Include sshd_config.d/*.conf sshd_config.d/plain\nForceCommand "a b" c\n')
    assert [setting.value for setting in found.values("port")] == ["1", "2"]
    assert [setting.value for setting in found.values("forcecommand")] == ['"a b" c']
