from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tables.host.accounts.pam import parse_pam
from tables.host.startup.pam_configs import exec_command

RULES = """#%PAM-1.0
auth required pam_unix.so nullok
-session optional pam_systemd.so
auth [success=1 default=ignore] pam_exec.so quiet expose_authtok log=/var/log/x /opt/a --b # why
session optional /lib/security/pam_exec.so \\
  seteuid /opt/c
auth optional pam_exec.so type=auth [/opt/with blank/d] e
@include common-auth
account required /tmp/x.so
login auth optional pam_exec.so /opt/e
"""


def test_the_rules_of_a_service() -> None:
    assert [(rule.line, rule.module, exec_command(rule)) for rule in parse_pam(RULES)] == [
        (2, "pam_unix.so", ""),
        (3, "pam_systemd.so", ""),
        (4, "pam_exec.so", "/opt/a --b"),
        (5, "/lib/security/pam_exec.so", "/opt/c"),
        (7, "pam_exec.so", "'/opt/with blank/d' e"),
        (8, "common-auth", ""),
        (9, "/tmp/x.so", ""),
        (10, "pam_exec.so", "/opt/e"),
    ]


@given(st.text(alphabet=st.sampled_from(list("auth pam_exec.so[]=\\#\n\t/'\"")), max_size=400))
def test_any_text_is_survived(text: str) -> None:
    lines = text.count("\n") + 1
    for found in parse_pam(text):
        assert 1 <= found.line <= lines and found.module
        exec_command(found)


def test_time_is_linear() -> None:
    assert list(map(exec_command, parse_pam("auth [" * 100_000))) == []
    assert list(map(exec_command, parse_pam("auth required pam_exec.so " + "[" * 200_000)))
    assert list(map(exec_command, parse_pam("auth required pam_exec.so " + "debug " * 100_000)))
