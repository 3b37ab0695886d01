"""Accounts, their rights and what is odd about them, on planted account files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

import pytest

from tables.accounts.account_findings import AccountFinding, account_findings
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.schema import QueryContext
from tests.support.scans import unseen_by

DEBIAN = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
postgres:x:26:26:PostgreSQL:/var/lib/pgsql:/bin/bash
jenkins:x:995:995::/var/lib/jenkins:/bin/bash
admin:x:1000:1000:Debian:/home/admin:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
DEBIAN_SHADOW = """root:*:20000:0:99999:7:::
daemon:*:20000:0:99999:7:::
sync:*:20000:0:99999:7:::
www-data:*:20000:0:99999:7:::
postgres:!:20000::::::
jenkins:!:20000::::::
admin:!$y$j9T$lab$lab:20100:0:99999:7:::
nobody:*:20000:0:99999:7:::
"""
DEBIAN_GROUP = "root:x:0:\nsudo:x:27:admin\ndocker:x:998:admin,jenkins\nadmin:x:1000:\n"
DEBIAN_SUDOERS = """Defaults env_reset
Defaults:%sudo env_keep += "http_proxy"
root ALL=(ALL:ALL) ALL
%sudo ALL=(ALL:ALL) ALL
admin ALL=(ALL) NOPASSWD:ALL
"""


def plant(root: Path, passwd: str = "", shadow: Optional[str] = "", group: str = "", sudoers: str = "") -> Path:
    """A host with Debian's account files and these lines more."""
    (root / "etc").mkdir(exist_ok=True)
    files = {"passwd": DEBIAN + passwd, "group": DEBIAN_GROUP + group, "sudoers": DEBIAN_SUDOERS + sudoers}
    if shadow is not None:
        files["shadow"] = DEBIAN_SHADOW + shadow
    for name, text in files.items():
        (root / "etc" / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    return root


def rows(root: Path, host: Optional[Host] = None) -> list[AccountFinding]:
    return list(account_findings.generate(host or Host(str(root)), QueryContext()))


def row(root: Path, name: str) -> AccountFinding:
    (found,) = (row for row in rows(root) if row.username == name)
    return found


def test_a_clean_host_gives_no_reason(tmp_path: Path) -> None:
    assert {found.username: found.reasons for found in rows(plant(tmp_path)) if found.reasons} == {}


def test_the_facts_of_an_account(tmp_path: Path) -> None:
    plant(tmp_path)
    home = tmp_path / "home/admin"
    home.mkdir(parents=True)
    admin = row(tmp_path, "admin")
    assert (admin.path, admin.line, admin.account_uid) == ("/etc/passwd", 7, 1000)
    assert (admin.has_login_shell, admin.is_system_account) == (True, False)
    assert (admin.password_state, admin.password_algorithm, admin.last_change) == ("locked", "yescrypt", 20100 * 86400)
    assert (admin.admin_groups, admin.is_nopasswd) == ("docker,sudo", True)
    assert admin.sudo_rules == "/etc/sudoers:4: %sudo ALL=(ALL:ALL) ALL | /etc/sudoers:5: admin ALL=(ALL) NOPASSWD:ALL"
    assert (admin.home_exists, admin.home_owner_uid) == (True, home.stat().st_uid)
    nobody = row(tmp_path, "nobody")
    assert (nobody.home_exists, nobody.is_system_account, nobody.password_state) == (False, True, "disabled")


def test_no_hash_is_ever_shown(tmp_path: Path) -> None:
    plant(tmp_path, "open:$6$secretsalt$secrethash:1500:1500::/:/bin/sh\n", "admin2:$1$secretsalt$x:1::::::\n")
    assert not any("secret" in text for found in rows(tmp_path) for text in found.to_wire().values())


@pytest.mark.parametrize(
    ("passwd", "shadow", "reasons"),
    [
        ("x:x:0:0::/root:/bin/bash", "x:*:20000::::::", "uid0_not_root"),
        ("x:x:00:0::/root:/bin/bash", "x:*:20000::::::", "uid0_not_root"),
        ("x:x:1000:1000::/home/x:/bin/bash", "x:*:20000::::::", "duplicate_uid"),
        ("x:x:1500:1500::/home/x:/bin/bash", "x::20000::::::", "empty_password"),
        ("x::1500:1500::/home/x:/bin/bash", "", "empty_password"),
        ("x:x:1500:1500::/home/x:/bin/bash", "x:$1$a$b:20000::::::", "weak_hash"),
        ("x:x:1500:1500::/home/x:/bin/bash", "x:!$1$a$b:20000::::::", "weak_hash"),
        ("x:x:200:200::/home/x:/bin/bash", "x:$6$a$b:20000::::::", "password_on_system_account"),
        ("x:x:5:5::/usr/games:/bin/bash", "x:*:20000::::::", "login_shell_on_system_account"),
        ("x:x:1500:1500::/tmp:/bin/sh", "x:*:20000::::::", "home_in_temp"),
        ("x:x:1500:1500::/dev/shm/x:/bin/sh", "x:*:20000::::::", "home_in_temp"),
        ("x:x:1500:1500::/home/.x:/bin/sh", "x:*:20000::::::", "hidden_home"),
        ("x:x:1500:1500::/home/x:/var/tmp/sh", "x:*:20000::::::", "odd_shell"),
        ("x:x:1500:1500::/home/x", "x:*:20000::::::", "malformed_line"),
        ("x:x:1500:1500::/home/x:/bin/sh:more", "x:*:20000::::::", "malformed_line"),
        ("x:x:0x0:0::/home/x:/bin/sh", "x:*:20000::::::", "malformed_line"),
        ("x:x:1500:1500::/home/x:/bin/sh", "", "missing_shadow"),
        ("x:x:1500:0::/home/x:/bin/sh", "x:*:20000::::::", "gid0_not_root"),
        ("x:x:1500:1500::/root:/bin/sh", "x:*:20000::::::", "home_of_root"),
    ],
)
def test_reasons_of_a_line(tmp_path: Path, passwd: str, shadow: str, reasons: str) -> None:
    plant(tmp_path, passwd + "\n", shadow + "\n")
    assert row(tmp_path, "x").reasons == reasons


@pytest.mark.parametrize(
    ("passwd", "shadow"),
    [
        ("x:x:1500:1500:,,,:/home/x:/bin/zsh", "x:$y$j9T$a$b:20000::::::"),
        ("x:x:999:999::/run/x:/usr/sbin/nologin", "x:!*:20000::::::"),
        ("x:x:120:120::/srv/git:/usr/bin/git-shell", "x:*:20000::::::"),
        ("x:x:1500:1500:Jörg Müller:/home/x:", "x:$2b$10$abc:20000::::::"),
        ("x:x:107:29::/run/speech-dispatcher:/bin/false", "x:!:20000::::::"),
    ],
)
def test_ordinary_lines(tmp_path: Path, passwd: str, shadow: str) -> None:
    plant(tmp_path, passwd + "\n", shadow + "\n")
    assert row(tmp_path, "x").reasons == ""


def test_duplicate_names_and_nis_lines_and_strays(tmp_path: Path) -> None:
    plant(tmp_path, "admin:x:1700:1700::/home/a:/bin/sh\n+::::::\n-@out::::::\n", "gone:$5$a$b:20000::::::\n")
    found = [(row.username, row.kind, row.line, row.reasons) for row in rows(tmp_path) if row.reasons]
    assert found == [
        ("admin", "account", 7, "duplicate_name"),
        ("admin", "account", 9, "duplicate_name"),
        ("+", "nis", 10, "nis_line"),
        ("-@out", "nis", 11, "nis_line"),
        ("gone", "shadow", 9, "shadow_without_account"),
    ]


def test_names_that_cannot_be_typed(tmp_path: Path) -> None:
    plant(tmp_path, "ev\x1b[2Kil:x:1500:1500::/home/e:/bin/sh\nsp ace:x:1501:1501::/home/s:/bin/sh\n")
    found = {row.to_wire()["username"]: row.reasons for row in rows(tmp_path) if row.reasons}
    assert found == {"ev\\x1B[2Kil": "missing_shadow,odd_name", "sp ace": "missing_shadow,odd_name"}


def test_groups_that_make_root(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "apache:x:48:48::/var/www:/sbin/nologin\nagent:x:900:900::/opt/a:/sbin/nologin\nci:x:901:901::/opt/c:/bin/bash\n",
        "apache:*:1::::::\nagent:*:1::::::\nci:*:1::::::\n",
        "wheel:x:10:agent,ci\nlxd:x:110:apache\n",
    )
    found = {
        name: (row(tmp_path, name).admin_groups, row(tmp_path, name).reasons) for name in ("apache", "agent", "ci", "jenkins")
    }
    assert found == {
        "apache": ("lxd", "system_account_in_admin_group"),
        "agent": ("wheel", "system_account_in_admin_group"),
        "ci": ("wheel", ""),
        "jenkins": ("docker", ""),
    }


@pytest.mark.parametrize(
    ("rule", "who", "reasons"),
    [
        ("www-data ALL=(ALL) NOPASSWD: ALL", "www-data", "nopasswd_sudo"),
        ("Cmnd_Alias X = ALL\nUser_Alias W = www-data\nW ALL=(root) NOPASSWD: X", "www-data", "nopasswd_sudo"),
        ("#33 ALL=NOPASSWD: ALL", "www-data", "nopasswd_sudo"),
        ("admin ALL=NOPASSWD: /tmp/run", "admin", "suspicious_sudo_command"),
        ("ALL ALL=(ALL) NOPASSWD: ALL", "ALL", "sudo_for_everyone"),
        ("Defaults !authenticate", "ALL", "sudo_for_everyone"),
        ('Defaults env_keep += "LANG LD_PRELOAD"', "ALL", "sudo_keeps_loader_variable"),
        ("stranger ALL=NOPASSWD: /dev/shm/x", "stranger", "suspicious_sudo_command"),
        ("www-data ALL=NOPASSWD: /usr/bin/systemctl reload nginx", None, ""),
        ("ALL ALL=(ALL) ALL", None, ""),
        ("%admin ALL=(ALL) NOPASSWD: ALL", None, ""),
        ('Defaults env_keep += "SSH_AUTH_SOCK"', None, ""),
    ],
)
def test_sudo_rules(tmp_path: Path, rule: str, who: Optional[str], reasons: str) -> None:
    plant(tmp_path, sudoers=rule + "\n")
    found = [(row.username, row.reasons) for row in rows(tmp_path) if row.reasons]
    assert found == ([(who, reasons)] if who else [])


def test_rules_of_nobody_here_are_rows_of_their_own(tmp_path: Path) -> None:
    plant(tmp_path, sudoers="ldap-user, %ldap-group ALL=(ALL) NOPASSWD: ALL\n")
    found = [row for row in rows(tmp_path) if row.kind == "sudoers"]
    assert [(row.username, row.path, row.line, row.is_nopasswd) for row in found] == [
        ("ldap-user, %ldap-group", "/etc/sudoers", 6, True),
    ]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    plant(tmp_path, "x:x:0:0::/root:/bin/sh\n", shadow=None)
    (tmp_path / "etc/sudoers").unlink()
    (tmp_path / "etc/sudoers").mkdir()
    host = Host(str(tmp_path))
    (found,) = (row for row in rows(tmp_path, host) if row.username == "x")
    assert (found.reasons, found.password_state, found.is_nopasswd, found.sudo_rules) == ("uid0_not_root", None, None, None)
    why = unseen_by(account_findings, host)
    assert len(why) == 2 and "/etc/shadow" in why[0] and "/etc/sudoers" in why[1]


def test_no_passwd_is_said_and_an_unreadable_one_fails(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert rows(tmp_path, host) == [] and "/etc/passwd" in unseen_by(account_findings, host)[0]
    (tmp_path / "etc/passwd").mkdir(parents=True)
    with pytest.raises(Unreadable, match="/etc/passwd"):
        rows(tmp_path)


def test_hostile_files(tmp_path: Path) -> None:
    plant(tmp_path, "a" * (1 << 20) + "\n" + "n\0ul:x:1:1::/ho\0me:/bin/sh\n\udcff\udcfe:x:7:7::/\udcff:/bin/sh\n", ":::\n\0\n")
    found = [row.to_wire() for row in rows(tmp_path)]
    assert all(text.isprintable() for wire in found for text in wire.values())
    os.mkfifo(tmp_path / "etc/login.defs")
    assert len(rows(tmp_path)) == len(found)


def test_this_host_gives_no_reason() -> None:
    assert [(row.username, row.reasons) for row in rows(Path("/"), Host()) if row.reasons] == []
