from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tables.host.pam_configs import PamRule, parse_pam_rules

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
    assert list(parse_pam_rules(RULES)) == [
        PamRule(2, "pam_unix.so", ""),
        PamRule(3, "pam_systemd.so", ""),
        PamRule(4, "pam_exec.so", "/opt/a --b"),
        PamRule(5, "/lib/security/pam_exec.so", "/opt/c"),
        PamRule(7, "pam_exec.so", "'/opt/with blank/d' e"),
        PamRule(9, "/tmp/x.so", ""),
        PamRule(10, "pam_exec.so", "/opt/e"),
    ]


@given(st.text(alphabet=st.sampled_from(list("auth pam_exec.so[]=\\#\n\t/'\"")), max_size=400))
def test_any_text_is_survived(text: str) -> None:
    lines = text.count("\n") + 1
    for found in parse_pam_rules(text):
        assert 1 <= found.line <= lines and found.module


def test_time_is_linear() -> None:
    assert list(parse_pam_rules("auth [" * 100_000)) == []
    assert list(parse_pam_rules("auth required pam_exec.so " + "[" * 200_000))
    assert list(parse_pam_rules("auth required pam_exec.so " + "debug " * 100_000))
