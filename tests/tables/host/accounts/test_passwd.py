"""The accounts of a host: read once, again when the file was changed, and bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tables.host import Host
from tables.host.accounts import passwd
from tables.host.accounts.passwd import Accounts, accounts_of
from tables.host.disk.files import DEFAULT_LIMIT, Files, Unreadable
from tables.unseen import Unseen

TEXT = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root/:/bin/sh
root:x:0:0:again:/elsewhere:/bin/sh
backup:x:34:34::/srv//backup/:/bin/sh
odd:x:5:5::/srv/link/../odd:/bin/sh
nowhere:x:6:6:::/bin/false
slash:x:7:7::/:/bin/false
"""


def said(accounts: Accounts) -> tuple[str, ...]:
    unseen = Unseen()
    accounts.say_gap(unseen)
    return unseen.said


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root folder with TEXT as /etc/passwd."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(TEXT)
    return tmp_path


def test_the_first_account_has_the_name_and_the_home(root: Path) -> None:
    accounts = Host(str(root)).accounts
    assert [account.name for account in accounts.all] == ["root", "toor", "root", "backup", "odd", "nowhere", "slash"]
    assert accounts.by_name["root"].home == "/root"
    assert {home: account.name for home, account in accounts.by_home.items()} == {
        "/root": "root",
        "/elsewhere": "root",
        "/srv/backup": "backup",
        "/srv/link/../odd": "odd",
        "/": "slash",
    }
    assert all(account.home == home for home, account in accounts.by_home.items())
    assert next(iter(accounts.by_name)) == "root"
    assert said(accounts) == () and accounts.needed() is accounts


def test_the_file_is_read_once_and_again_when_it_changed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "etc/passwd"
    read: list[str] = []
    monkeypatch.setattr(Files, "read", lambda self, path, limit, old=Files.read: (read.append(path), old(self, path, limit))[1])
    host = Host(str(root))
    before = host.accounts
    assert host.accounts is before and accounts_of(host.files) is before and read == ["/etc/passwd"]
    # As useradd(8) does: another file under the name, here of the same length and time.
    times = file.stat()
    (root / "etc/passwd-").write_text(TEXT.replace("backup:", "bakcup:"))
    os.utime(root / "etc/passwd-", ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "etc/passwd-").replace(file)
    assert "bakcup" in host.accounts.by_name and "bakcup" not in before.by_name
    file.unlink()
    assert (host.accounts.all, said(host.accounts)) == ((), ("/etc/passwd: No such file or directory",))
    file.write_text(TEXT)
    assert "backup" in host.accounts.by_name and said(host.accounts) == ()


def test_two_roots_have_their_own_accounts(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "etc").mkdir()
    (other / "etc/passwd").write_text("miner:x:0:0::/root:/bin/sh\n")
    assert [next(iter(Host(str(place)).accounts.by_name)) for place in (root, other, root)] == ["root", "miner", "root"]


def test_what_cannot_be_read_is_said_or_raised(root: Path) -> None:
    file = root / "etc/passwd"
    file.unlink()
    missing = Host(str(root)).accounts
    assert said(missing) == ("/etc/passwd: No such file or directory",) and missing.needed() is missing
    os.mkfifo(file)
    unread = Host(str(root)).accounts
    assert (unread.all, said(unread)) == ((), ("/etc/passwd: not a regular file",))
    with pytest.raises(Unreadable, match="not a regular file"):
        unread.needed()


def test_a_huge_file_is_cut_and_said(root: Path) -> None:
    with (root / "etc/passwd").open("r+b") as file:
        file.truncate(100 << 20)
    accounts = Host(str(root)).accounts
    assert accounts.by_name["backup"].uid == 34
    assert said(accounts) == (f"/etc/passwd: only the first {DEFAULT_LIMIT} bytes were read",)


def test_accounts_are_forgotten_with_their_root(root: Path) -> None:
    files = Files(str(root))
    accounts_of(files)
    assert files in passwd._readings
    kept = len(passwd._readings)
    del files
    assert len(passwd._readings) == kept - 1
