"""What the extension does to the host while the whole pack is asked, by its system calls: nothing, but to itself."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

import tables
from tests.support.osquery_wire import EXTENSION, children, wire_in_folder
from tests.support.strace import STRACE, Call, calls

OPENING = frozenset({"open", "openat", "openat2", "creat"})
# Calls that change files, however they are named; mounts; signals; the system as a whole.
_CHANGING = """unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink symlinkat mknod mknodat chmod
    fchmod fchmodat fchmodat2 chown lchown fchown fchownat truncate ftruncate fallocate setxattr lsetxattr fsetxattr removexattr
    lremovexattr fremovexattr utime utimes futimesat utimensat"""
_MOUNTING = "mount umount2 move_mount mount_setattr pivot_root chroot swapon swapoff"
_SIGNALLING = "kill tkill tgkill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo"
_SYSTEM = """init_module finit_module delete_module kexec_load kexec_file_load reboot sethostname setdomainname settimeofday
    clock_settime adjtimex process_vm_writev ptrace sysfs acct quotactl"""
CHANGING, MOUNTING, SIGNALLING, SYSTEM = (frozenset(text.split()) for text in (_CHANGING, _MOUNTING, _SIGNALLING, _SYSTEM))
FORKING = frozenset({"fork", "vfork", "clone", "clone3"})
TRACED = OPENING | CHANGING | MOUNTING | SIGNALLING | SYSTEM | FORKING | {"connect", "bind", "execve", "execveat"}


def offence(call: Call, own: set[int], folder: Path) -> bool:
    """Whether the call reaches beyond our own processes and the folder of the sockets."""
    if call.name in OPENING:
        is_writing = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", call.arguments) or call.name == "creat"
        return bool(is_writing) and call.path != "/dev/null"
    if call.name in CHANGING | {"bind", "connect"}:
        # What is asked of the kernel itself goes to nobody else.
        return "AF_NETLINK" not in call.arguments and not call.path.startswith(f"{folder}/")
    if call.name in SIGNALLING:
        # Signal 0 only asks whether there is such a process.
        return int(call.arguments.partition(",")[0]) not in own and not call.arguments.endswith(", 0")
    return call.name in MOUNTING | SYSTEM | {"execve", "execveat"}


def offences(queries: Iterable[str]) -> list[Call]:
    """What the extension does beyond itself while it is asked these; fails where it was not asked at all."""
    with wire_in_folder() as wire:
        log = wire.folder / "strace"
        traced = ",".join(f"?{name}" for name in sorted(TRACED))
        strace = (str(STRACE), "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", f"trace={traced}", "-o", str(log))
        process = wire.start(program=(*strace, *EXTENSION), interval=3.0)
        for sql in queries:
            wire.ask(sql)
        # strace itself ends when what it traces does.
        (extension,) = children(process.popen.pid)
        os.kill(extension, signal.SIGTERM)
        process.wait()
        seen = list(calls(log))
        folder = wire.folder
    own = {call.pid for call in seen} | {int(call.result) for call in seen if call.name in FORKING and call.result.isdigit()}
    first = next(index for index, call in enumerate(seen) if call.name == "execve")
    assert sum(call.name in OPENING for call in seen) > 1000
    return [call for index, call in enumerate(seen) if index != first and offence(call, own, folder)]


@pytest.mark.root
@pytest.mark.skipif(STRACE is None, reason="no strace")
def test_no_table_changes_anything_or_reaches_anybody() -> None:
    # `python -m tests.hostile.campaign` asks the whole pack.
    found = tables.discover()
    queries = [f"SELECT count(*) FROM {name}" for name in found if name != "recent_files"]
    assert offences([*queries, "SELECT count(*) FROM recent_files WHERE root = '/etc'"]) == []


@pytest.mark.parametrize(
    ("line", "is_offence"),
    [
        ('7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3', False),
        ('7 openat(AT_FDCWD, "/etc/x", O_WRONLY|O_CREAT, 0644) = 3', True),
        ('7 openat2(3, "x", {flags=O_RDWR, resolve=RESOLVE_IN_ROOT}, 24) = 4', True),
        ('7 openat(AT_FDCWD, "/dev/null", O_RDWR) = 3', False),
        ('7 connect(3, {sa_family=AF_UNIX, sun_path="/s/osquery.em"}, 110) = 0', False),
        ('7 connect(3, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("9.9.9.9")}, 16) = 0', True),
        ("7 bind(3, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0", False),
        ("7 kill(8, SIGKILL) = 0", False),
        ("7 kill(1, SIGTERM) = 0", True),
        ("7 kill(1, 0) = 0", False),
        ('7 execve("/bin/true", ["true"], 0x7f /* 3 vars */) = 0', True),
        ('7 mount("none", "/proc", "tmpfs", 0, NULL) = 0', True),
        ('7 unlink("/s/osquery.em.12") = 0', False),
        ('7 unlink("/etc/cron.d/a") = 0', True),
    ],
)
def test_what_counts_as_reaching_out(tmp_path: Path, line: str, is_offence: bool) -> None:
    log = tmp_path / "log"
    log.write_text(f'7 openat(AT_FDCWD, <unfinished ...>\n{line}\n7 <... openat resumed>"/a", O_RDONLY) = 5\n')
    first = next(calls(log))
    assert offence(first, {7, 8}, Path("/s")) is is_offence
