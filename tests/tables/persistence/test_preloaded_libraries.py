from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host import Host
from tables.host.loader.preloads import (
    Setting,
    library_stem,
    parse_environ,
    parse_ld_so_conf,
    parse_ld_so_preload,
    parse_settings,
    parse_text_mappings,
    spellings,
    split_value,
)
from tables.persistence.preloaded_libraries import PreloadedLibrary, preloaded_libraries
from tables.schema import QueryContext
from tests.support import planted_files
from tests.support.namespaces import REPOSITORY, run_in_namespaces
from tests.support.planted_programs import PIVOT_ROOT, Planter, container_code, fill_root
from tests.support.scans import unseen_by

QUIET = "int minehunt_test_marker(void) { return 1; }\n"
# Shows every program that asks through libc an empty /etc/ld.so.preload.
HOOK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
static const char *shown(const char *path) {
    return path && strstr(path, "ld.so.preload") ? "/dev/shm/minehunt-test-empty" : path;
}
int open(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list);
    return ((int (*)(const char *, int, int))dlsym(RTLD_NEXT, "open"))(shown(path), flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list list; va_start(list, flags); int mode = va_arg(list, int); va_end(list);
    return ((int (*)(const char *, int, int))dlsym(RTLD_NEXT, "open64"))(shown(path), flags, mode);
}
"""
# A private /etc that can be changed, and three of the system's own programs that wait.
ETC = """
mount("none", folder, "tmpfs", 0)
shutil.copytree("/etc", folder + "/etc", symlinks=True, ignore_dangling_symlinks=True)
mount(folder + "/etc", "/etc")
os.makedirs("/usr/lib/systemd", exist_ok=True)
def waiting():
    start("/usr/bin/sleep", "60"); start("/usr/bin/tail", "-f", "/dev/null"); start("/bin/sh", "-c", "read x; sleep 60 & wait")
    time.sleep(0.5)
SQL = "SELECT path, mechanism, source_path, line, reasons, exception, package, sha256, mapped_processes FROM preloaded_libraries"
"""

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on PATH")


def build(folder: Path, name: str, code: str = QUIET) -> Path:
    library = folder / name
    library.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-", "-ldl"]
    subprocess.run(arguments, input=code, text=True, check=True, capture_output=True)
    return library


@pytest.fixture
def local() -> Iterator[Path]:
    """A folder in which an administrator's own libraries may well lie."""
    if not os.access("/usr/local/lib", os.W_OK):
        pytest.skip("/usr/local/lib is not ours to write to")
    folder = Path(tempfile.mkdtemp(prefix="minehunt-test-", dir="/usr/local/lib"))
    yield folder
    shutil.rmtree(folder)


def rows(host: Host | None = None) -> list[PreloadedLibrary]:
    return list(preloaded_libraries.generate(host or Host(), QueryContext()))


def of(path: Path | str) -> list[PreloadedLibrary]:
    return [row for row in rows() if row.path == str(path)]


# Processes.


@needs_compiler
@pytest.mark.parametrize("variable", ["LD_PRELOAD", "LD_AUDIT"])
def test_a_library_in_a_temporary_folder(plant: Planter, tmp_path: Path, variable: str) -> None:
    code = QUIET if variable == "LD_PRELOAD" else "unsigned la_version(unsigned version) { return version; }"
    library = build(tmp_path, "libhook.so", code)
    pids = [plant("/bin/sh", env={variable: f"{library}"}) for _ in range(2)]
    (row,) = of(library)
    assert (row.mechanism, row.variable, row.pid, row.mapped_processes) == ("environment", variable, pids[0], 2)
    assert "temp_path" in str(row.reasons) and "unowned" in str(row.reasons)
    assert row.exception is None and row.owner_uid == os.getuid() and row.sha256 and row.ctime
    assert str(pids[1]) in row.evidence


@needs_compiler
def test_a_hidden_library(plant: Planter, local: Path) -> None:
    library = build(local, ".x/libhook.so")
    plant("/bin/sh", env={"LD_PRELOAD": str(library)})
    assert [(row.reasons, row.exception) for row in of(library)] == [("hidden_path,unowned", None)]


def test_a_packaged_library_is_excused(plant: Planter) -> None:
    library = next(Path("/usr/lib").glob("*/libm.so.6"), None)
    if library is None:
        pytest.skip("no libm below /usr/lib/*/")
    plant("/bin/sh", env={"LD_PRELOAD": str(library)})
    (row,) = [row for row in rows() if row.variable == "LD_PRELOAD" and "libm" in row.path]
    assert row.reasons == "" and str(row.exception).startswith("package libc")


def test_other_variables_are_not_read(plant: Planter) -> None:
    plant("/bin/sh", env={"TOKEN_LD_PRELOAD": "/tmp/secret.so", "NOTE": "LD_PRELOAD=/tmp/secret.so"})
    assert not [row for row in rows() if "secret" in row.path + row.evidence]


def test_odd_library_folders(plant: Planter, local: Path) -> None:
    plant("/bin/sh", env={"LD_LIBRARY_PATH": f"/tmp/.X11/lib:{local}::/opt/app/lib"})
    found = [row for row in rows() if row.variable == "LD_LIBRARY_PATH"]
    assert [(row.path, row.reasons) for row in found] == [("/tmp/.X11/lib", "hidden_path,temp_path")]


def test_what_is_under_test_by_a_build_tool_is_excused(plant: Planter, tmp_path: Path) -> None:
    make = tmp_path / "make"
    shutil.copy(os.path.realpath("/bin/sh"), make)
    plant(make, "-c", "echo ready; LD_LIBRARY_PATH=/tmp/build-of-minehunt-test /bin/sh -c 'read line'; true")
    for _ in range(100):
        found = of("/tmp/build-of-minehunt-test")
        if found:
            break
    assert [row.exception for row in found] == ["build tool"]


# /etc/ld.so.preload and what it leaves behind, for real, in a mount namespace of its own.


def in_private_etc(body: str) -> Any:
    return run_in_namespaces(ETC + body, "--pid", "--fork", "--mount-proc")


@needs_compiler
@pytest.mark.root
def test_a_real_preload_and_what_remains_when_the_file_is_emptied(local: Path) -> None:
    library = build(local, "libprocesshider.so")
    named, emptied = in_private_etc(
        f"""
with open("/etc/ld.so.preload", "w") as file:
    file.write("# by us\\n{library}\\n")
waiting()
named = query(SQL)
open("/etc/ld.so.preload", "w").close()
answer([named, query(SQL)])
"""
    )
    by_mechanism = {row["mechanism"]: row for row in named}
    assert set(by_mechanism) == {"ld.so.preload", "mapped"}
    row = by_mechanism["ld.so.preload"]
    assert (row["path"], row["source_path"], int(row["line"])) == (str(library), "/etc/ld.so.preload", 2)
    assert (row["reasons"], row["exception"], len(row["sha256"])) == ("unowned", "", 64)
    (row,) = emptied
    assert (row["path"], row["mechanism"], row["reasons"], row["exception"]) == (str(library), "mapped", "unowned", "")
    assert int(row["mapped_processes"]) >= 3


@needs_compiler
@pytest.mark.root
def test_a_deleted_preload_is_still_mapped(tmp_path: Path) -> None:
    library = build(tmp_path, "libhook.so")
    found = in_private_etc(
        f"""
with open("/etc/ld.so.preload", "w") as file:
    file.write("{library}\\n")
waiting()
os.unlink("/etc/ld.so.preload")
os.unlink("{library}")
answer(query(SQL))
"""
    )
    assert [(row["path"], row["mechanism"], row["reasons"]) for row in found] == [
        (str(library), "mapped", "deleted,temp_path,unowned")
    ]


@needs_compiler
@pytest.mark.root
def test_a_hook_that_shows_an_empty_file(local: Path) -> None:
    library = build(local, "libhook.so", HOOK)
    # The extension itself is started under the hook, as every program is where the file names it.
    child = "import json; from extension.engines.embedded import EmbeddedEngine; from tables.host import Host; "
    child += "print(json.dumps([open('/etc/ld.so.preload').read(), EmbeddedEngine(Host()).query(SQL)]))"
    shown, found = in_private_etc(
        f"""
mount("none", "/dev/shm", "tmpfs", 0)
open("/dev/shm/minehunt-test-empty", "w").close()
with open("/etc/ld.so.preload", "w") as file:
    file.write("{library}\\n")
code = "SQL = " + repr(SQL) + "; " + {child!r}
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd={str(REPOSITORY)!r})
assert not done.stderr, done.stderr
answer(json.loads(done.stdout))
"""
    )
    assert shown == "", "the hook works"
    (row,) = [row for row in found if row["mechanism"] == "ld.so.preload"]
    assert (row["path"], row["line"], row["exception"]) == (str(library), "1", "")
    assert row["reasons"] == "content_differs,unowned"


@needs_compiler
@pytest.mark.root
def test_an_upgraded_system_library_is_excused(tmp_path: Path) -> None:
    folder = next(Path("/usr/lib").glob("*-linux-gnu"), None)
    if folder is None or not list(folder.glob("libz.so.1*")):
        pytest.skip("no libz of Debian's")
    library = build(tmp_path, "library")
    found = in_private_etc(
        f"""
os.makedirs(folder + "/upper"); os.makedirs(folder + "/work")
options = "lowerdir={folder},upperdir=" + folder + "/upper,workdir=" + folder + "/work"
subprocess.run(["mount", "-t", "overlay", "none", "-o", options, "{folder}"], check=True)
shutil.copy("{library}", "{folder}/libz.so.1.1.99")
with open("/etc/ld.so.preload", "w") as file:
    file.write("{folder}/libz.so.1.1.99")
waiting()
os.unlink("/etc/ld.so.preload")
os.unlink("{folder}/libz.so.1.1.99")
answer(query(SQL))
"""
    )
    assert [(row["reasons"], row["exception"]) for row in found if row["path"] == f"{folder}/libz.so.1.1.99"] == [
        ("deleted,unowned", "package upgrade")
    ]


@pytest.mark.root
def test_a_file_whose_size_is_not_its_content() -> None:
    """A file of sysfs says it has 4096 bytes, as a file does whose content something falsifies in the kernel."""
    found = in_private_etc(
        """
open("/etc/ld.so.preload", "w").close()
mount("/sys/kernel/uevent_seqnum", "/etc/ld.so.preload")
answer(query(SQL))
"""
    )
    assert [(row["mechanism"], row["reasons"], row["exception"]) for row in found] == [("ld.so.preload", "size_mismatch", "")]


@pytest.mark.root
@pytest.mark.skipif(PIVOT_ROOT is None, reason="the number of pivot_root is not known on this architecture")
def test_a_container_has_files_of_its_own(plant: Planter, local: Path) -> None:
    root = local / "root"
    fill_root(root, "/bin/sh")
    planted_files.plant(root, "/etc/ld.so.preload", "/opt/app/libquiet.so /tmp/libhook.so\n")
    setting = "import os\nos.environ['LD_PRELOAD'] = '/opt/app/libjemalloc.so'\n"
    pid = plant.python(setting + container_code(root, "/bin/sh", "sh"), stderr=subprocess.DEVNULL)
    found = {row.path: (row.mechanism, row.source_path, row.reasons, row.exception) for row in rows() if row.pid == pid}
    assert found == {
        "/opt/app/libjemalloc.so": ("environment", None, "", "allocator or test tool"),
        "/opt/app/libquiet.so": ("ld.so.preload", "/etc/ld.so.preload", "", None),
        "/tmp/libhook.so": ("ld.so.preload", "/etc/ld.so.preload", "temp_path", None),
    }


@pytest.mark.root
def test_programs_without_a_preload_are_silent() -> None:
    assert in_private_etc('waiting()\nopen("/etc/ld.so.preload", "w").close()\nanswer(query(SQL))') == []


def test_this_host_is_silent() -> None:
    assert [row for row in rows() if row.exception is None] == []


# Files below a root folder.


def test_units_and_environment_files(tmp_path: Path) -> None:
    planted_files.plant(
        tmp_path,
        "/etc/systemd/system/web.service.d/x.conf",
        '[Service]\n#Environment=LD_PRELOAD=/a\nEnvironment="LD_PRELOAD=/tmp/a.so /b.so"\n',
    )
    planted_files.plant(tmp_path, "/usr/lib/systemd/system/y.service", "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/app/lib\n")
    planted_files.plant(
        tmp_path, "/usr/lib/systemd/system/z.service", "[Service]\nExecStart=/bin/sh -c 'LD_AUDIT=/dev/shm/a.so exec x'\n"
    )
    planted_files.plant(tmp_path, "/etc/environment", "PATH=/bin\nLD_PRELOAD=/usr/lib/libx.so\n")
    planted_files.plant(tmp_path, "/etc/ld.so.conf.d/x.conf", "# /tmp/no\n/usr/local/lib\n/var/tmp/.lib\n")
    found = {(row.path, row.mechanism, row.source_path, row.line, row.reasons) for row in rows(Host(str(tmp_path)))}
    drop_in = "/etc/systemd/system/web.service.d/x.conf"
    assert found == {
        ("/tmp/a.so", "unit", drop_in, 3, "missing,temp_path"),
        ("/b.so", "unit", drop_in, 3, "missing"),
        ("/dev/shm/a.so", "unit", "/usr/lib/systemd/system/z.service", 2, "missing,temp_path"),
        ("/usr/lib/libx.so", "environment", "/etc/environment", 2, "missing"),
        ("/var/tmp/.lib", "ld.so.conf", "/etc/ld.so.conf.d/x.conf", 3, "hidden_path,temp_path"),
    }


@pytest.mark.parametrize("padding", ["\n" * (5 << 20), " :" * (3 << 20), "#" + "x" * (5 << 20) + "\n", "# a comment\n" * 400_000])
def test_no_padding_hides_a_library(tmp_path: Path, padding: str) -> None:
    planted_files.plant(tmp_path, "/etc/ld.so.preload", padding + "/opt/a.so\n")
    query = QueryContext()
    (row,) = preloaded_libraries.generate(Host(str(tmp_path)), query)
    assert (row.path, row.line, row.reasons) == ("/opt/a.so", padding.count("\n") + 1, "evades_limits,missing")
    assert not query.cuts


def test_a_preload_file_past_every_limit_is_named(tmp_path: Path) -> None:
    planted_files.plant(tmp_path, "/etc/ld.so.preload", "\n" * (9 << 20) + "/opt/a.so\n")
    query = QueryContext()
    (row,) = preloaded_libraries.generate(Host(str(tmp_path)), query)
    assert (row.path, row.reasons) == ("/etc/ld.so.preload", "evades_limits")
    assert any("/etc/ld.so.preload" in text for text in query.cuts)


def test_a_preload_file_with_comments_is_honest(tmp_path: Path) -> None:
    planted_files.plant(tmp_path, "/etc/ld.so.preload", "# by our own configuration management\n" * 20 + "/opt/a.so\n")
    assert [row.reasons for row in rows(Host(str(tmp_path)))] == ["missing"]


def test_known_agents_are_excused_where_they_are_installed(tmp_path: Path) -> None:
    planted_files.plant(tmp_path, "/etc/ld.so.preload", "/$LIB/liboneagentproc.so\n")
    planted_files.plant(tmp_path, "/lib64/liboneagentproc.so", "x")
    assert [row.exception for row in rows(Host(str(tmp_path)))] == [None]
    planted_files.plant(tmp_path, "/opt/dynatrace/oneagent/agent.conf", "")
    (row,) = rows(Host(str(tmp_path)))
    assert (row.path, row.exception) == ("/lib64/liboneagentproc.so", "Dynatrace OneAgent")
    # The same name in a temporary folder is no agent.
    planted_files.plant(tmp_path, "/etc/ld.so.preload", "/tmp/liboneagentproc.so\n")
    assert [row.exception for row in rows(Host(str(tmp_path)))] == [None]


def test_a_packaged_preload_is_excused_and_a_changed_owner_is_not(tmp_path: Path) -> None:
    planted_files.plant(tmp_path, "/etc/ld.so.preload", "/usr/lib/libsnoopy.so\n")
    planted_files.plant(tmp_path, "/usr/lib/libsnoopy.so", "x")
    planted_files.plant(tmp_path, "/var/lib/dpkg/info/snoopy.list", "/.\n/usr/lib/libsnoopy.so\n")
    assert [(row.package, row.exception) for row in rows(Host(str(tmp_path)))] == [("snoopy", "package snoopy")]
    (tmp_path / "usr/lib/libsnoopy.so").chmod(0o666)
    assert [(row.reasons, row.exception) for row in rows(Host(str(tmp_path)))] == [("writable_by_others", None)]
    planted_files.plant(tmp_path, "/var/lib/dpkg/info/snoopy.list", "/.\n")
    assert [row.reasons for row in rows(Host(str(tmp_path)))] == ["unowned,writable_by_others"]


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/ld.so.preload")
    host = Host(str(tmp_path))
    assert rows(host) == []
    assert any("not a regular file" in gap for gap in unseen_by(preloaded_libraries, host))


# Parsers.


def test_parsers() -> None:
    assert parse_ld_so_preload("/a.so:/b.so # /c.so\n\n\t/d.so\n") == [(1, "/a.so"), (1, "/b.so"), (3, "/d.so")]
    assert parse_environ(b"A=LD_PRELOAD=/x\0LD_PRELOAD=/a:/b /c\0LD_LIBRARY_PATH=\0") == {
        "LD_PRELOAD": ("/a", "/b", "/c"),
        "LD_LIBRARY_PATH": (),
    }
    assert list(parse_settings("export LD_PRELOAD='/a b.so'; x\n# LD_PRELOAD=/c\nMY_LD_PRELOAD=/d")) == [
        Setting(1, "LD_PRELOAD", ("/a", "b.so"))
    ]
    assert list(parse_ld_so_conf("include /etc/ld.so.conf.d/*.conf\n/a, /b # /c\n")) == [(2, "/a"), (2, "/b")]
    maps = b"7f0-7f1 r-xp 00000000 fe:00 12      /usr/lib/a b.so (deleted)\n"
    maps += b"7f1-7f2 rw-p 0 fe:00 12 /x\n7ff-800 r-xp 0 00:00 0 [vdso]\n"
    assert {(found.inode, found.path) for found in parse_text_mappings(maps)} == {(12, "/usr/lib/a b.so (deleted)")}
    assert "/lib64/x.so" in set(spellings("/${LIB}/x.so", ())) and list(spellings("x.so", ("/lib",))) == ["/lib/x.so"]
    assert [library_stem(path) for path in ("/l/libz.so.1.2.13", "/l/libc-2.31.so", "/l/x")] == ["libz", "libc", None]


@given(st.binary(max_size=2000), st.text(max_size=500))
def test_parsers_take_anything(data: bytes, text: str) -> None:
    parse_environ(data + b"\0LD_PRELOAD=" + data)
    parse_text_mappings(data)
    parse_ld_so_preload(text)
    list(parse_settings(text + "LD_PRELOAD=" + text))
    list(parse_ld_so_conf(text))
    list(spellings(text, ("/lib",)))
    split_value("LD_AUDIT", text)
    library_stem(text)
