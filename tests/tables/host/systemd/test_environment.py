from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.disk.files import Files
from tables.host.systemd.environment import EnvironmentFiles, parse_environment_file, unit_environment
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext
from tests.support.linear import assert_linear
from tests.support.planted_files import link, plant

PASSWD = "alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB = 2 \n\n", [(1, "A", "1"), (2, "B", "2")]),
        ("# A=1\n  ; B=2 \\\nC=3", [(3, "C", "3")]),
        ("A=\\\n  x\\\ny z  \nB=", [(1, "A", "  xy z"), (4, "B", "")]),
        ("A='a b'\"c\\\"$d\\n\" e\nB=it's\n", [(1, "A", 'a bc"$d\\ne'), (2, "B", "it's")]),
        ("A='1\n2'\nB=\"1\\\n2\"", [(1, "A", "1\n2"), (3, "B", "12")]),
        ("no\n1A=x\nA B=x\nexport C=x\nD=a=b # c\n", [(5, "D", "a=b # c")]),
        ("A='open\nB=x", [(1, "A", "open\nB=x")]),
    ],
)
def test_what_an_environment_file_sets(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert [tuple(found) for found in parse_environment_file(text)] == expected


@given(st.text(alphabet="A=\\\"'\n #;x\r", max_size=200))
def test_no_text_raises(text: str) -> None:
    list(parse_environment_file(text))


def read(root: Path) -> tuple[SystemdUnits, list[str]]:
    units = SystemdUnits(Files(str(root)), QueryContext())
    found = sorted(file.location for file in EnvironmentFiles(units).all())
    return units, found


def test_later_files_win_and_an_empty_value_takes_back(tmp_path: Path) -> None:
    settings = "[Service]\nEnvironment=A=unit B=unit\nEnvironmentFile=/gone\nEnvironmentFile=\nEnvironmentFile=-/etc/*.env\n"
    plant(tmp_path, "/etc/systemd/system/a.service", settings)
    plant(tmp_path, "/gone", "B=gone\n")
    plant(tmp_path, "/etc/1.env", "A=one\nC=one\n")
    plant(tmp_path, "/etc/2.env", "A=two\n")
    plant(tmp_path, "/etc/.3.env", "A=hidden\n")
    plant(tmp_path, "/etc/4.env", "A=secret\nLD_PRELOAD=/x.so\n", 0o600)
    units = SystemdUnits(Files(str(tmp_path)), QueryContext())
    manager = units.managers[0]
    held = manager.unit("a.service").settings
    files = EnvironmentFiles(units).of(manager, "a.service", held)
    assert unit_environment(held, {}, files) == {"A": "two", "B": "unit", "C": "one", "LD_PRELOAD": "/x.so"}


def test_names_that_are_not_followed(tmp_path: Path) -> None:
    for number, path in enumerate(
        ("/proc/1/environ", "/opt/link", "relative", "/opt/fifo", "/opt/%i", "/opt/folder", "/opt/loop")
    ):
        plant(tmp_path, f"/etc/systemd/system/a{number}@.service", f"[Service]\nEnvironmentFile={path}\n")
    plant(tmp_path, "/proc/1/environ", "A=1\n")
    plant(tmp_path, "/opt/folder/x", "A=1\n")
    link(tmp_path, "/proc/1/environ", "/opt/link")
    link(tmp_path, "loop", "/opt/loop")
    os.mkfifo(tmp_path / "opt/fifo")
    plant(tmp_path, "/etc/passwd", PASSWD)
    units, found = read(tmp_path)
    assert found == [] and [text for text in units.query.unseen if "loop" not in text] == []


def test_a_user_has_no_eyes_but_its_own(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    text = "[Service]\nEnvironmentFile=/root/secret\nEnvironmentFile=%h/own\nEnvironmentFile=/etc/public\n"
    plant(tmp_path, "/home/alice/.config/systemd/user/a.service", text)
    plant(tmp_path, "/root/secret", "A=1\n", 0o600)
    plant(tmp_path, "/etc/public", "A=1\n")
    own = plant(tmp_path, "/home/alice/own", "A=1\n", 0o600)
    if os.geteuid() == 0:
        os.chown(own, 1000, 1000)
        assert read(tmp_path)[1] == ["/etc/public", "/home/alice/own"]


def test_a_user_takes_nothing_from_others(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    for number in range(200):
        plant(tmp_path, f"/home/alice/{number}.env", "A=1\n")
        plant(tmp_path, f"/home/alice/.config/systemd/user/{number}.service", f"[Service]\nEnvironmentFile=%h/{number}.env\n")
    plant(tmp_path, "/home/alice/.config/systemd/user/all.service", "[Service]\nEnvironmentFile=%h/*.env\n")
    plant(tmp_path, "/home/bob/.config/systemd/user/b.service", "[Service]\nEnvironmentFile=%h/big\n")
    plant(tmp_path, "/home/bob/big", "B=1\n" * 200_000)
    units, found = read(tmp_path)
    assert len(found) == 51 and "/home/bob/big" in found
    assert [text for text in units.query.cuts if "alice" in text and "50" in text] and any(
        "/home/bob/big" in text for text in units.query.cuts
    )


@pytest.mark.parametrize("unit", ['A="', "A='b' ", "\\\n", "A=\\\n", '"\\"', "# \\\n", " ", "=", "A=b\n", "x\n"])
def test_any_environment_file_is_read_in_linear_time(unit: str) -> None:
    assert_linear(lambda size: list(parse_environment_file(unit * size)), 20_000)
