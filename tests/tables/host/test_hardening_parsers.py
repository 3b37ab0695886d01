from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.pam import pam_stack, parse_pam
from tables.host.disk.files import Files
from tables.host.kernel.settings import parse_sysctl
from tables.host.packages.apt_config import apt_setting, parse_apt
from tables.indicators.hosts_file import blocked_names

TEXT = st.text(max_size=300) | st.text(alphabet='aA:{};"/*#\\\n\t =[]-.@0', max_size=300)


@given(TEXT)
def test_no_text_breaks_a_parser(text: str) -> None:
    lines = text.count("\n") + 1
    assert all(1 <= setting.line <= lines for setting in parse_apt(text))
    assert all(1 <= module.line <= lines for module in parse_pam(text))
    assert all(setting.line is not None and 1 <= setting.line <= lines for setting in parse_sysctl(text).values())
    assert all(1 <= blocked.line <= lines for blocked in blocked_names(text))


def test_hostile_texts_take_no_long_time() -> None:
    for text in ("{" * 200_000, '"' * 200_000, "/*" * 100_000, "a {" * 60_000, "# " * 100_000, "password include x\\\n" * 10_000):
        parse_apt(text)
        list(parse_pam(text))
        parse_sysctl(text)


def test_apt_syntax() -> None:
    text = """// a comment
APT::Periodic {
  Update-Package-Lists "1"; # another
  /* and
     another */ Unattended-Upgrade "2";
};
Unattended-Upgrade::Allowed-Origins { "a:b"; "c//d"; };
DPkg::Post-Invoke { "rm -f /x || true"; };
Dir::Cache "/c";
#clear APT::Periodic;
"""
    assert [(found.name, found.value, found.line) for found in parse_apt(text)] == [
        ("apt::periodic::update-package-lists", "1", 3),
        ("apt::periodic::unattended-upgrade", "2", 5),
        ("unattended-upgrade::allowed-origins::", "a:b", 7),
        ("unattended-upgrade::allowed-origins::", "c//d", 7),
        ("dpkg::post-invoke::", "rm -f /x || true", 8),
        ("dir::cache", "/c", 9),
        ("#clear apt::periodic", "", 10),
    ]


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"apt.conf.d/20a": 'A::B "1";', "apt.conf.d/99b": 'A::B "0";'}, "0"),
        ({"apt.conf.d/20a": 'A::B "1";', "apt.conf.d/99b.bak": 'A::B "0";', "apt.conf.d/99c~": 'A::B "0";'}, "1"),
        ({"apt.conf.d/20a": 'A::B "1";', "apt.conf": 'a { b "5"; };'}, "5"),
        ({"apt.conf.d/20a": 'A::B "1";', "apt.conf.d/30b": "#clear A;"}, None),
        ({}, None),
    ],
)
def test_which_apt_setting_counts(tmp_path: Path, files: dict[str, str], value: str | None) -> None:
    for name, text in files.items():
        target = tmp_path / "etc/apt" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    found = apt_setting(Files(str(tmp_path)), "A::B")
    assert (found.value if found else None) == value


def test_pam_stack_follows_includes_and_ends_in_a_cycle(tmp_path: Path) -> None:
    folder = tmp_path / "etc/pam.d"
    folder.mkdir(parents=True)
    (folder / "passwd").write_text("auth include b\npassword \\\n  required /lib/security/pam_a.so x=1\n@include b\n")
    (folder / "b").write_text(
        "-password [success=1 default=ignore] pam_b.so # c\npassword include passwd\nsession required pam_c.so\n"
    )
    found = pam_stack(Files(str(tmp_path)), "password", "missing", "passwd")
    assert [(module.name, module.path, module.line) for module in found[:2]] == [
        ("pam_a.so", "/etc/pam.d/passwd", 2),
        ("pam_b.so", "/etc/pam.d/b", 1),
    ]
    assert found[0].argument("x") == "1" and len(found) <= 64
    assert pam_stack(Files(str(tmp_path)), "auth", "nothing") == []
