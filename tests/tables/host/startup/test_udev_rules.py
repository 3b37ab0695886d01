from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tables.host.startup.udev_rules import RuleProgram, WantedUnit, parse_udev_rules, parse_udev_wants

RULES = r"""# a comment with RUN+="/no"
ACTION=="add", SUBSYSTEM=="net", RUN+="/opt/a --name '%k x'", RUN{program}+="/opt/b"
KERNEL=="sd*", PROGRAM=="/bin/sh -c 'echo \"%k\"'", \
# a comment inside of a rule
  IMPORT{program}="probe $devnode", IMPORT{builtin}="blkid", RUN{builtin}+="kmod load x"
ENV{X}!="1", PROGRAM!="/no", RUN-="/no", NAME="RUN+=/no", RUN=e"/opt/c\x20d", RUN+=""
  PROGRAM = "/opt/d"
"""


def test_the_programs_of_rules() -> None:
    assert list(parse_udev_rules(RULES)) == [
        RuleProgram(2, "RUN", "/opt/a --name '%k x'"),
        RuleProgram(2, "RUN", "/opt/b"),
        RuleProgram(3, "PROGRAM", "/bin/sh -c 'echo \"%k\"'"),
        RuleProgram(3, "IMPORT", "probe $devnode"),
        RuleProgram(6, "RUN", "/opt/cx20d"),
        RuleProgram(7, "PROGRAM", "/opt/d"),
    ]


@given(st.text(alphabet=st.sampled_from(list('RUNPOGAM+="\\{}program ,#\n')), max_size=400))
def test_any_text_is_survived(text: str) -> None:
    lines = text.count("\n") + 1
    for found in parse_udev_rules(text):
        assert 1 <= found.line <= lines and found.command


def test_time_is_linear() -> None:
    assert list(parse_udev_rules('RUN+="' * 200_000))
    assert list(parse_udev_rules("RUN{" * 200_000)) == []
    assert list(parse_udev_rules('RUN+="' + "\\" * 400_000)) == []


def test_the_units_that_rules_want() -> None:
    text = (
        'A=="b", TAG+="systemd", ENV{SYSTEMD_WANTS}="a.service b@x.service", \\\n ENV{SYSTEMD_USER_WANTS}+="c.target"\n'
        '# ENV{SYSTEMD_WANTS}="no.service"\nENV{SYSTEMD_WANTS}!="no.service"\nENV{SYSTEMD_WANTS}+="m@%p/$env{X}.service"\n'
    )
    assert list(parse_udev_wants(text)) == [
        WantedUnit(1, "a.service", False),
        WantedUnit(1, "b@x.service", False),
        WantedUnit(1, "c.target", True),
        WantedUnit(5, "m@.service", False),
    ]
