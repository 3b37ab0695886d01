"""Units and CPU limits are read from cgroups of both versions, and from odd paths and texts nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.processes.cgroups import CpuQuotas, cores_of_cpu_max, cpu_group, systemd_unit


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/cron.service", "cron.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope"),
        ("/system.slice/docker.service/payload", "docker.service"),
        ("/init.scope", "init.scope"),
        ("/system.slice", None),
        ("/docker/0123", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_innermost_unit_is_named(path: str, unit: str | None) -> None:
    assert systemd_unit(path) == unit


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"0::/system.slice/a.service\n", (False, "/system.slice/a.service")),
        (b"4:memory:/m\n3:cpu,cpuacct:/c\n0::/u\n", (True, "/c")),
        (b"3:cpuset:/s\n2:cpuacct:/a\n0::/u\n", (False, "/u")),
        (b"", (False, "")),
    ],
)
def test_the_cgroup_that_limits_cpu_is_found(data: bytes, expected: tuple[bool, str]) -> None:
    assert cpu_group(data) == expected


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", math.inf), ("50000 100000", 0.5), ("250000 100000\n", 2.5), ("5 0", math.inf), ("", math.inf)],
)
def test_a_limit_counts_in_cores(text: str, cores: float) -> None:
    assert cores_of_cpu_max(text) == cores


@given(st.text(max_size=60), st.binary(max_size=200))
def test_garbage_is_no_limit_and_no_error(text: str, data: bytes) -> None:
    assert cores_of_cpu_max(text) >= 0
    cpu_group(data)
    systemd_unit(text)


def quotas_on(root: Path, mountinfo: str, limits: dict[str, str]) -> CpuQuotas:
    """The limits of a host below `root`, whose processes see the mounts in `mountinfo`."""
    for path, text in limits.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(mountinfo)
    host = Host(str(root))
    return CpuQuotas(host.files, host.procfs)


V2 = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "31 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def test_the_tightest_limit_on_the_way_down_counts(tmp_path: Path) -> None:
    limits = {
        "/sys/fs/cgroup/a.slice/cpu.max": "150000 100000",
        "/sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000",
        "/sys/fs/cgroup/a.slice/c.service/cpu.max": "20000 100000",
    }
    quotas = quotas_on(tmp_path, V2, limits)
    assert quotas.cores(b"0::/a.slice/b.service\n") == 1.5
    assert quotas.cores(b"0::/a.slice/c.service\n") == 0.2
    assert quotas.cores(b"0::/other.slice\n") is None
    assert quotas.cores(b"0::/../a.slice\n") is None, "a cgroup outside of ours is not the one of that name in ours"
    assert quotas.cores(b"") is None


def test_version_one_limits_count_where_it_has_the_cpu_controller(tmp_path: Path) -> None:
    limits = {
        "/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "50000\n",
        "/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us": "100000\n",
    }
    quotas = quotas_on(tmp_path, V2 + V1, limits)
    assert quotas.cores(b"3:cpu,cpuacct:/docker/x\n0::/\n") == 0.5
    assert quotas.cores(b"3:cpu,cpuacct:/docker\n0::/\n") is None


def test_a_mount_of_a_part_shows_only_that_part(tmp_path: Path) -> None:
    part = "30 20 0:26 /kubepods /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    quotas = quotas_on(tmp_path, part, {"/sys/fs/cgroup/pod/cpu.max": "100000 100000"})
    assert quotas.cores(b"0::/kubepods/pod\n") == 1.0
    assert quotas.cores(b"0::/pod\n") is None
