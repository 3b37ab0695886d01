"""The core tables about accounts and their SSH files, on planted files and against this machine's own C library."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.engines.core import ssh
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tables.host.accounts.databases import parse_group, parse_passwd, parse_shadow
from tests.support.core_tables import PlantedHost
from tests.support.namespaces import needs_readable_repository

REPOSITORY = Path(__file__).parents[3]
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE0"


@pytest.fixture
def planted(tmp_path: Path) -> PlantedHost:
    return PlantedHost(tmp_path)


# Rows as osquery 5.23 recorded them.
def test_users_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n")
    assert planted.query("SELECT * FROM users WHERE uid IN (0,33)") == [
        {"description": "root", "directory": "/root", "gid": "0", "gid_signed": "0", "shell": "/bin/bash", "uid": "0",
         "uid_signed": "0", "username": "root", "uuid": ""},
        {"description": "www-data", "directory": "/var/www", "gid": "33", "gid_signed": "33", "shell": "/usr/sbin/nologin",
         "uid": "33", "uid_signed": "33", "username": "www-data", "uuid": ""},
    ]  # fmt: skip


def test_odd_passwd_lines(planted: PlantedHost) -> None:
    planted.plant(
        "/etc/passwd",
        b"\n# a comment\n  lead:x:5:6::/:/bin/sh\nbroken:x:no:0::/:\nbig:x:4294967294:99999999999::/:\n"
        b"+::::::\nshort:x:7:8\ncolon:x:9:9:g:/h:/bin/a:b\nevil\x1b[2J\xff:x:10:10:::\n",
    )
    rows = {row["username"]: row for row in planted.query("SELECT * FROM users")}
    assert set(rows) == {"lead", "big", "+", "short", "colon", "evil\\x1B[2J\\xff"}
    assert (rows["big"]["uid"], rows["big"]["uid_signed"]) == ("4294967294", "-2")
    assert (rows["big"]["gid"], rows["big"]["gid_signed"]) == ("4294967295", "-1")
    assert rows["+"]["uid"] == "0"
    assert rows["colon"]["shell"] == "/bin/a:b"
    assert planted.query("SELECT username FROM users WHERE username = 'short'") == [{"username": "short"}]


def test_a_missing_passwd_is_a_gap(planted: PlantedHost) -> None:
    planted.path("/etc/passwd").unlink()
    assert planted.query("SELECT * FROM users") == []
    assert "/etc/passwd" in planted.gaps("users")
    planted.plant("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    assert len(planted.query("SELECT * FROM users")) == 1
    assert planted.gaps("users") == ""


def test_groups_and_memberships(planted: PlantedHost) -> None:
    planted.plant("/etc/group", "root:x:0:\nsudo:x:27:alice,root\nalice:x:1000:\nagain:x:27:\ndocker:x:998: alice\nbad:x:y:\n")
    assert planted.query("SELECT * FROM groups WHERE gid=0") == [{"gid": "0", "gid_signed": "0", "groupname": "root"}]
    assert [row["groupname"] for row in planted.query("SELECT groupname FROM groups")] == ["root", "sudo", "alice", "docker"]
    joined = (
        "SELECT groupname FROM users JOIN user_groups USING (uid) JOIN groups ON groups.gid = user_groups.gid WHERE uid = 1000"
    )
    assert {row["groupname"] for row in planted.query(joined)} == {"alice", "sudo", "docker"}
    assert planted.query("SELECT * FROM user_groups WHERE uid=0") == [{"uid": "0", "gid": "0"}, {"uid": "0", "gid": "27"}]


def test_shadow_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/etc/shadow", "root:*:20228:0:99999:7:::\n", 0o600)
    assert planted.query("SELECT * FROM shadow WHERE username = 'root'") == [
        {"expire": "-1", "flag": "", "hash_alg": "", "inactive": "-1", "last_change": "20228", "max": "99999", "min": "0",
         "password_status": "locked", "username": "root", "warning": "7"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "status", "algorithm"),
    [
        ("", "empty", ""),
        ("!!", "not_set", ""),
        ("!", "locked", ""),
        ("*", "locked", ""),
        ("x", "locked", ""),
        ("!$6$salt$hash", "locked", ""),
        ("$y$j9T$salt$hash", "active", "y"),
        ("$6$salt$hash", "active", "6"),
        ("$2b$12$hash", "active", "2b"),
        ("aajIEXAMPLE12", "active", ""),
    ],
)
def test_password_states_without_the_hash(planted: PlantedHost, field: str, status: str, algorithm: str) -> None:
    planted.plant("/etc/shadow", f"who:{field}:1:2:3:4:5:6:7\n")
    (row,) = planted.query("SELECT * FROM shadow")
    assert (row["password_status"], row["hash_alg"], row["flag"]) == (status, algorithm, "7")
    assert "hash" not in "".join(row.values())


def test_authorized_keys_as_recorded(planted: PlantedHost) -> None:
    planted.plant("/root/.ssh/authorized_keys", f'command="/bin/true",no-pty ssh-ed25519 {KEY} ops@example\n')
    assert planted.query("SELECT a.* FROM users u CROSS JOIN authorized_keys a USING (uid) WHERE u.uid=0") == [
        {"algorithm": "ssh-ed25519", "comment": "ops@example", "key": KEY, "key_file": "/root/.ssh/authorized_keys",
         "options": 'command="/bin/true",no-pty', "uid": "0"}
    ]  # fmt: skip


def test_keys_of_all_users_and_of_the_running_one(planted: PlantedHost) -> None:
    planted.plant("/etc/passwd", f"me:x:{os.getuid()}:0::/home/me:\nother:x:4242:0::/home/other:\n")
    for home in ("/home/me", "/home/other"):
        planted.plant(f"{home}/.ssh/authorized_keys2", f"ssh-rsa {KEY}\n")
        planted.plant(f"{home}/.ssh/known_hosts", f"# c\n|1|x|y ssh-rsa {KEY}\n")
    for table in ("authorized_keys", "known_hosts"):
        assert {row["uid"] for row in planted.query(f"SELECT uid FROM {table}")} == {str(os.getuid())}
        assert len(planted.query(f"SELECT * FROM users CROSS JOIN {table} USING (uid)")) == 2
    assert planted.query("SELECT key FROM known_hosts")[0]["key"] == f"|1|x|y ssh-rsa {KEY}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ssh-rsa AAAA", ("ssh-rsa", "AAAA", None, None)),
        ("ssh-rsa\t AAAA \t two  words", ("ssh-rsa", "AAAA", None, "two  words")),
        ('from="10.0.0.1, b" \t sk-ssh-ed25519@openssh.com AAAA c',
         ("sk-ssh-ed25519@openssh.com", "AAAA", 'from="10.0.0.1, b"', "c")),
        ("zos-key-ring-label=KeyRing", (None, None, "zos-key-ring-label=KeyRing", None)),
        ("ssh-dss AAAA", None),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", None),
        ("ssh-rsa", None),
    ],
)  # fmt: skip
def test_authorized_key_lines(line: str, expected: tuple[str | None, ...] | None) -> None:
    assert ssh.parse_authorized_key(line) == expected


@pytest.mark.root
def test_a_hostile_home_does_not_fail_the_table(planted: PlantedHost) -> None:
    planted.plant("/etc/passwd", "a:x:1:1::/home/a:\nb:x:2:2::/home/b:\nc:x:3:3::../../etc:\nd:x:4:4::/home/d:\n")
    planted.plant("/home/b/.ssh/authorized_keys", f"ssh-rsa {KEY} ok\n")
    planted.path("/home/a/.ssh").mkdir(parents=True)
    os.mkfifo(planted.path("/home/a/.ssh/authorized_keys"))
    planted.path("/home/d/.ssh").mkdir(parents=True)
    planted.path("/home/d/.ssh/authorized_keys").symlink_to("authorized_keys")
    assert [row["comment"] for row in planted.query("SELECT comment FROM users CROSS JOIN authorized_keys USING (uid)")] == ["ok"]
    assert "/home/d/.ssh/authorized_keys" in planted.gaps("authorized_keys")


@needs_readable_repository
@pytest.mark.root
def test_as_an_ordinary_user_what_is_unreadable_is_a_gap() -> None:
    program = (
        # Imported here, as Python's own library may lie where only root may read.
        "import os, sys, extension.sql_trees\n"
        "from tests.support.core_tables import PlantedHost; from pathlib import Path\n"
        "host = PlantedHost(Path(sys.argv[1])); host.plant('/etc/shadow', 'root:*:1::::::', 0o600)\n"
        "host.plant('/root/.bash_history', 'secret', 0o600); os.setgid(65534); os.setuid(65534)\n"
        "print(host.query('SELECT * FROM shadow'), host.gaps('shadow'))\n"
        "print(host.query('SELECT * FROM users CROSS JOIN shell_history USING (uid)'), host.gaps('shell_history'))\n"
    )
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        done = subprocess.run([sys.executable, "-c", program, root], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[] /etc/shadow: Permission denied",
        "[] /root/.bash_history: Permission denied",
    ]


def test_live_users_agree_with_the_c_library() -> None:
    rows = EmbeddedEngine(Host()).query("SELECT * FROM users")
    listed = {(row["username"], row["uid"], row["gid"], row["directory"], row["shell"]) for row in rows}
    local = {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}
    known = [entry for entry in pwd.getpwall() if entry.pw_name in local]
    assert listed == {(e.pw_name, str(e.pw_uid), str(e.pw_gid), e.pw_dir, e.pw_shell) for e in known}


def test_live_memberships_agree_with_the_c_library() -> None:
    engine = EmbeddedEngine(Host())
    local = {line.split(":")[2] for line in Path("/etc/group").read_text().splitlines()}
    found = {row["groupname"]: row["gid"] for row in engine.query("SELECT * FROM groups")}
    assert found == {entry.gr_name: str(entry.gr_gid) for entry in grp.getgrall() if str(entry.gr_gid) in local}
    for row in engine.query("SELECT username, uid, gid, group_concat(g) gids FROM users JOIN "
                            "(SELECT uid AS u, gid AS g FROM user_groups) ON u = uid GROUP BY username"):  # fmt: skip
        assert {int(gid) for gid in row["gids"].split(",")} == set(os.getgrouplist(row["username"], int(row["gid"])))


LINES = st.lists(st.text('rsh-:$x!*@#\\ \t\n\r\v\0é=,"0129') | st.sampled_from([*ssh.KEY_TYPES, "a:x:1:2:3:4:5"])).map("".join)


@pytest.mark.parametrize("parse", [parse_passwd, parse_group, parse_shadow])
@given(data=st.binary() | LINES.map(str.encode))
def test_account_parsers_take_anything(parse: Callable[[bytes], object], data: bytes) -> None:
    assert len(list(parse(data))) <= data.count(b"\n") + 1  # type: ignore[call-overload]


@given(LINES)
def test_key_parser_takes_anything(text: str) -> None:
    for line in ssh.entries(text):
        found = ssh.parse_authorized_key(line)
        if found and found.algorithm:
            assert found.key and found.key in line
            assert line.startswith(found.options or "")
