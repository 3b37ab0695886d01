"""What stands on few hosts, once what names the hosts is left out."""

from __future__ import annotations

from pathlib import Path

from extension.fleet.names import Names
from extension.fleet.normalise import naming_schemes
from tests.fleet.looking import line, reported

T, DAY = 1795436552, 86400


def test_hosts_that_are_named_by_a_scheme_are_named_in_no_rarity(tmp_path: Path, names: Names) -> None:
    lines = []
    for kind, count in (("web", 90), ("gpu", 3)):
        for number in range(count):
            host = f"{kind}-ams{number:04}.corp.example"
            lines.append(
                line("cron_jobs", 0, T, "added", host, scheduler="cron_d", command=f"/opt/puppet/bin/puppet --certname {host}")
            )
    lines += [
        line("cron_jobs", 1, T + DAY, "added", f"web-ams{n:04}.corp.example", command="/usr/local/bin/tune") for n in range(3)
    ]
    assert [[thing["example"].strip() for thing in one["things"]] for one in reported(tmp_path, names, lines)["rare"]] == [
        ["/usr/local/bin/tune"]
    ]


def test_a_scheme_is_what_several_hosts_are_named_by() -> None:
    assert naming_schemes(["web-01.example", "web-02.example", "anna-laptop", "db1", "x7"]) == ["web-#.example", "web-#"]
    assert (
        naming_schemes(f"{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyz'[n // 100 % 6]}-{n}" for n in range(2000))
        == []
    )


def test_images_and_modules_are_as_odd_as_programs_that_no_package_owns(tmp_path: Path, names: Names) -> None:
    lines = [line("kernel_modules", 0, T, "added", f"h{n}", module="ext4") for n in range(60)]
    lines += [line("containers", 0, T, "added", f"h{n}", image="registry.example/shop:1", command="/run") for n in range(60)]
    lines += [line("containers", 1, T + DAY + n, "added", f"h{n}", image="ghcr.io/jk/metricd:2", command="/m") for n in range(3)]
    lines += [line("kernel_modules", 1, T + DAY + n, "added", f"h{n + 5}", module="odd") for n in range(3)]
    lines += [line("startup_files", 1, T + DAY + n, "added", f"h{n + 9}", path="/etc/pam.d/odd") for n in range(3)]
    kinds = [one["things"][0]["kind"] for one in reported(tmp_path, names, lines)["rare"]]
    assert kinds == ["containers", "kernel module", "start-up file"]


def test_what_most_of_a_few_hosts_have_is_not_rare(tmp_path: Path, names: Names) -> None:
    lines = [line("kernel_modules", 0, T, "added", f"h{n}", module=module) for n in range(4) for module in ("ext4", "xfs")]
    lines.append(line("kernel_modules", 1, T + DAY, "added", "h2", module="odd"))
    assert [one["things"][0]["text"].strip() for one in reported(tmp_path, names, lines)["rare"]] == ["odd"]


def test_what_nobody_else_has_anything_of_is_as_rare_as_any(tmp_path: Path, names: Names) -> None:
    """A query whose answer is empty is not logged: few hosts have an rc.local, and so does the one that is looked for."""
    lines = [line("kernel_modules", 0, T, "added", f"h{n}", module="ext4") for n in range(90)]
    lines += [line("kernel_modules", 1, T + n * DAY, "added", f"h{n}", module="usb_storage") for n in range(5)]
    lines += [
        line("rc_local_commands_present", 1, T + DAY + n, "added", f"h{n}", command="/usr/local/bin/tune") for n in range(3)
    ]
    first = reported(tmp_path, names, lines)["rare"][0]
    assert (first["things"][0]["kind"], first["reported"]) == ("rc.local", 90)
