"""Files are read as the process names them, and nothing that can hold us up is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tables.host.processes.process_files import ProcessFiles
from tables.host.processes.procfs import Procfs
from tests.support.namespaces import run_in_namespaces

WAIT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_reads_regular_files_by_absolute_and_relative_names(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.txt").write_text("some text")
    (tmp_path / "link").symlink_to("below/a.txt")
    os.mkfifo(tmp_path / "fifo")
    process = subprocess.Popen(WAIT, stdin=subprocess.PIPE, cwd=tmp_path)
    try:
        files = ProcessFiles(Procfs.open())
        for name in ("below/a.txt", "./below/../below/a.txt", "link", str(tmp_path / "below" / "a.txt")):
            assert files.read(process.pid, name, 100) == b"some text"
        assert files.read(process.pid, "link", 4) == b"some"
        for name in ("fifo", "below", "none", "/dev/null", "/dev/full", "a\0b", "", "x" * 5000, "/" + "x/" * 3000):
            assert files.read(process.pid, name, 100) is None
    finally:
        process.communicate()


@pytest.mark.root
def test_reads_below_the_process_own_mounts() -> None:
    body = """
    from tables.host.processes.process_files import ProcessFiles
    from tables.host.processes.procfs import Procfs
    code = "import sys; print(1, flush=True); sys.stdin.read()"
    shell = 'mount -t tmpfs none "$0" && echo inside > "$0/file" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", shell, folder, sys.executable, "-c", code]
    inner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(inner)
    inner.stdout.readline()
    answer([ProcessFiles(Procfs.open()).read(inner.pid, folder + "/file", 100).decode(), os.path.exists(folder + "/file")])
    """
    assert run_in_namespaces(body) == ["inside\n", False]


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no /dev/fuse, with which a file system that never answers is made")
def test_a_file_system_that_never_answers_is_left_alone() -> None:
    """A FUSE mount without a server keeps every look-up waiting; the read would not come back."""
    body = """
    from tables.host.processes.process_files import ProcessFiles
    from tables.host.processes.procfs import Procfs
    server = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % server
    assert libc.mount(b"silent", os.fsencode(folder), b"fuse", ctypes.c_ulong(0), options) == 0
    files = ProcessFiles(Procfs.open())
    seen = [files.read(os.getpid(), folder + name, 100) for name in ("/config.json", "/../" + os.path.basename(folder) + "/x")]
    libc.umount2(os.fsencode(folder), 2)
    os.close(server)
    answer(seen)
    """
    assert run_in_namespaces(body, timeout=30) == [None, None]
