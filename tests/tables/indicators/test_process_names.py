from __future__ import annotations

import datetime
import pkgutil

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tables.host.processes.procfs import Procfs
from tables.indicators.process_names import claimed_program, enclosing, hidden_component, is_below, process_names

NAMES = process_names()
SHELLS = NAMES.shells


@pytest.mark.parametrize(
    "name",
    [
        "kworker/0:1",
        "kworker/u16:3-events_unbound",
        "kworker/R-rcu_gp",
        "ksoftirqd/0",
        "migration/11",
        "rcu_preempt",
        "rcu_tasks_kthread",
        "rcu_tasks_kthre",
        "rcuop/3",
        "kswapd0",
        "kthreadd",
        "kdevtmpfs",
        "khugepaged",
        "jbd2/nvme0n1p2-8",
        "scsi_eh_0",
        "irq/24-pciehp",
        "pool_workqueue_",
        "[kworker/0:1]",
        " [kthreadd] ",
        "[kworker/u16:3-e",
        "[whatever]",
        "watchdog/0",
        "cpuhp/1",
    ],
)
def test_kernel_thread_names(name: str) -> None:
    assert NAMES.claims_kernel_thread(name)


@pytest.mark.parametrize(
    "name",
    [
        "kdevtmpfsi",
        "kworkerds",
        "kthreadds",
        "kswapd0x",
        "ksoftirqds",
        "rcu",
        "migration",
        "watchdog",
        "watchdogd",
        "nfsdcld",
        "auditd",
        "loop",
        "[",
        "[]",
        "[splunkd pid=1]",
        "[a=b]",
        "[lxc monitor] /x",
        "bash",
        "",
        "pool_workqueue",
        "md5sum",
        "ata",
        "irqbalance",
    ],
)
def test_names_that_programs_may_bear(name: str) -> None:
    assert not NAMES.claims_kernel_thread(name)


@pytest.mark.alone
def test_the_kernel_threads_of_this_host_are_known() -> None:
    threads = [process.name for process in Procfs.open().processes() if process.is_kernel_thread]
    if not threads:
        pytest.skip("no kernel threads visible: not the initial pid namespace")
    known = sum(map(NAMES.claims_kernel_thread, threads))
    assert known / len(threads) > 0.9, [name for name in threads if not NAMES.claims_kernel_thread(name)]


@pytest.mark.parametrize(
    ("title", "program", "claimed"),
    [
        ("sshd: root@pts/0", "sshd", "sshd"),
        ("/usr/sbin/sshd -D", "x", "/usr/sbin/sshd"),
        ("nginx: master process /usr/sbin/nginx", "nginx", "nginx"),
        ("-bash", "dash", None),
        ("-bash", "xmrig", "bash"),
        ("./xmrig", "xmrig", None),
        ("dovecot/imap", "imap", None),
        ("/proc/self/exe", "runc", None),
        ("/dev/fd/3", "sh", None),
        ("", "x", None),
        ("  ", "x", None),
        ("-", "x", None),
        (":", "x", None),
    ],
)
def test_what_a_title_claims(title: str, program: str, claimed: str | None) -> None:
    assert claimed_program(title, program, SHELLS) == claimed


@pytest.mark.parametrize(
    ("claimed", "program"),
    [
        ("python3", "python3.11"),
        ("nodejs", "node"),
        ("sh", "dash"),
        ("awk", "mawk"),
        ("vi", "vim.basic"),
        ("CRON", "cron"),
        ("crond", "cron"),
        ("sshd", "sshd-session"),
        ("ls", "busybox"),
        ("sshd", "qemu-aarch64-static"),
        ("gcc", "ccache"),
        ("php-fpm", "php-fpm8.2"),
    ],
)
def test_rightful_names(claimed: str, program: str) -> None:
    assert NAMES.is_variant(claimed, program)


@pytest.mark.parametrize(
    ("claimed", "program"),
    [("sshd", "s"), ("cron", "c"), ("sshd", "perl"), ("cron", "crontab"), ("bash", "xmrig"), ("top", "x")],
)
def test_wrongful_names(claimed: str, program: str) -> None:
    assert not NAMES.is_variant(claimed, program)


@pytest.mark.parametrize(
    ("path", "is_tool"),
    [
        ("/root/.pyenv/versions/3.11/bin/python3.11", True),
        ("/home/dev/.cargo/bin/cargo", True),
        ("/home/dev/.cache/ms-playwright/chromium-1/chrome", True),
        ("/home/dev/app/node_modules/.pnpm/esbuild@1/bin/esbuild", True),
        ("/srv/ci/.venv/bin/python3", True),
        ("/var/lib/jenkins/.sdkman/java/bin/java", True),
        ("/nix/store/abc-firefox/bin/.firefox-wrapped", True),
        ("/root/.pyenv/.x/python", False),
        ("/home/dev/src/.cargo/bin/cargo", False),
        ("/home/dev/.cache/x", False),
        ("/home/.cargo/bin/cargo", False),
        ("/root/.pyenvx/bin/python", False),
        ("/opt/.cargo/x", False),
        ("/home/dev/.configrc/a/kswapd0", False),
    ],
)
def test_tool_folders(path: str, is_tool: bool) -> None:
    assert hidden_component(path)
    assert NAMES.is_tool_path(path, ["/var/lib/jenkins"]) == is_tool


def test_folders() -> None:
    assert is_below("/dev/shm/x", NAMES.writable_folders) == "/dev"
    assert is_below("/tmpx/y", NAMES.writable_folders) is None
    assert is_below("/tmp", NAMES.writable_folders) is None
    assert enclosing("/a/b") == ["/a/b", "/a"]


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_name_is_too_odd(text: str, program: str) -> None:
    NAMES.claims_kernel_thread(text)
    NAMES.is_variant(text, program)
    NAMES.is_tool_path("/" + text, ["/root"])
    claimed = claimed_program(text, program, SHELLS)
    assert claimed is None or (claimed and claimed in text)
    part = hidden_component("/" + text)
    assert part is None or part in text


def test_every_entry_says_where_it_is_from_and_when() -> None:
    data = yaml.safe_load(pkgutil.get_data("tables.indicators", "data/process_names.yaml") or b"")
    assert set(data) >= {"kernel_threads", "interpreters", "multi_call", "families", "memfd_runtimes", "tool_folders"}
    for section, entries in data.items():
        for entry in entries:
            assert entry["source"], section
            assert isinstance(entry["updated"], datetime.date), section
            assert entry.get("names") or entry.get("patterns"), section
