"""Rules of PAM, doas and polkit that ask nobody for a password, and those of stock systems that look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tables.accounts.account_findings import AccountFinding, account_findings
from tables.host import Host
from tables.host.accounts.pam import parse_pam
from tables.reasons.open_doors import accepts_anyone
from tables.schema import QueryContext
from tests.support.planted_files import plant

PASSWD = "root:x:0:0::/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\noperator:x:11:0::/root:/sbin/nologin\n"


def found(root: Path, passwd: str = "") -> list[AccountFinding]:
    plant(root, "/etc/passwd", PASSWD + passwd)
    rows = account_findings.generate(Host(str(root)), QueryContext())
    return [row for row in rows if isinstance(row, AccountFinding)]


@pytest.mark.parametrize(
    "line",
    [
        "auth sufficient pam_permit.so",
        "auth\tsufficient\t/lib/x86_64-linux-gnu/security/pam_permit.so",
        "-auth [success=done default=ignore] pam_permit.so",
        "auth [success=2 default=ignore] pam_permit.so",
        "auth sufficient pam_succeed_if.so uid >= 0",
        "auth sufficient pam_succeed_if.so quiet uid ge 0 use_uid",
        "auth sufficient pam_succeed_if.so user = *",
    ],
)
def test_rules_that_let_everybody_in(tmp_path: Path, line: str) -> None:
    plant(tmp_path, "/etc/pam.d/sshd", f"# x\n{line}\n@include common-auth\n")
    [row] = [row for row in found(tmp_path) if row.reasons == "pam_accepts_anyone"]
    assert (row.kind, row.username, row.path, row.line) == ("pam", "sshd", "/etc/pam.d/sshd", 2)


@pytest.mark.parametrize(
    "line",
    [
        "auth required pam_permit.so",
        "auth optional pam_permit.so",
        "account sufficient pam_permit.so",
        "session required pam_permit.so",
        "auth [success=1 default=ignore] pam_unix.so nullok",
        "auth sufficient pam_rootok.so",
        "auth requisite pam_succeed_if.so uid >= 1000 quiet_success",
        "auth required pam_succeed_if.so user != root quiet_success",
        "auth sufficient pam_succeed_if.so user ingroup nopasswdlogin",
        "auth sufficient pam_succeed_if.so uid >= 0 user ingroup kiosk",
        "account sufficient pam_succeed_if.so uid < 1000 quiet",
        "auth sufficient pam_succeed_if.so uid = 0 use_uid quiet",
        "# auth sufficient pam_permit.so",
    ],
)
def test_stock_rules(line: str) -> None:
    assert not any(map(accepts_anyone, parse_pam(line)))


def test_polkit_and_doas(tmp_path: Path) -> None:
    yes = "polkit.addRule(function(a, s) {\n return polkit.Result.YES;\n});\n"
    plant(tmp_path, "/etc/polkit-1/rules.d/1.rules", yes)
    plant(tmp_path, "/etc/polkit-1/rules.d/1.rules.bak", yes)
    plant(tmp_path, "/etc/polkit-1/localauthority/50-local.d/x.pkla", "[x]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n")
    plant(
        tmp_path,
        "/etc/doas.conf",
        "permit nopass :wheel\npermit nopass www-data\npermit kim cmd /tmp/x\npermit nopass www-data as kim\n",
    )
    assert [(row.kind, row.path, row.line, row.reasons) for row in found(tmp_path) if row.kind in ("polkit", "doas")] == [
        ("polkit", "/etc/polkit-1/rules.d/1.rules", 1, "polkit_allows_everybody"),
        ("polkit", "/etc/polkit-1/localauthority/50-local.d/x.pkla", 1, "polkit_allows_everybody"),
        ("doas", "/etc/doas.conf", 2, "nopasswd_doas"),
        ("doas", "/etc/doas.conf", 3, "suspicious_doas_command"),
    ]


def test_roots_group_and_home(tmp_path: Path) -> None:
    rows = found(tmp_path, "a:x:1001:0::/home/a:/bin/bash\nb:x:1002:1002::/root/:/bin/sh\nc:x:1003:0::/home/c:/bin/false\n")
    odd = {row.username: row.reasons for row in rows if row.reasons and ("gid0" in row.reasons or "home_of" in row.reasons)}
    assert {name: {"gid0_not_root", "home_of_root"} & set((reasons or "").split(",")) for name, reasons in odd.items()} == {
        "a": {"gid0_not_root"},
        "b": {"home_of_root"},
    }
