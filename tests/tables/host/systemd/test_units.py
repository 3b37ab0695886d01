from __future__ import annotations

import os
from pathlib import Path

from tables.host.disk.files import Files
from tables.host.systemd.commands import unit_commands, unit_specifiers
from tables.host.systemd.environment import unit_environment
from tables.host.systemd.managers import Manager
from tables.host.systemd.syntax import last_value
from tables.host.systemd.units import SystemdUnits
from tables.schema import QueryContext
from tests.support import planted_files
from tests.support.planted_files import link

PASSWD = """root:x:0:0::/root:/bin/sh
alice:x:1000:1000::/home/alice:/bin/sh
bob:x:1001:1001::/home/bob:/bin/sh
nobody:x:9:9::/nonexistent:
"""


def plant(root: Path, path: str, text: str = "[Service]\nExecStart=/bin/true\n") -> Path:
    return planted_files.plant(root, path, text)


def read(root: Path) -> SystemdUnits:
    return SystemdUnits(Files(str(root)), QueryContext())


def system(root: Path) -> Manager:
    return read(root).managers[0]


def test_higher_folders_win_and_the_others_are_still_listed(tmp_path: Path) -> None:
    folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"]
    order = ["/run/systemd/transient", "/run/systemd/generator.early", *folders, "/run/systemd/generator.late"]
    for folder in order:
        plant(tmp_path, f"{folder}/a.service")
    manager = system(tmp_path)
    assert [found.location for found in manager.fragments_of("a.service")] == [f"{folder}/a.service" for folder in order]
    assert manager.unit("a.service").fragment == manager.fragments_of("a.service")[0]
    assert [found.folder.origin for found in manager.files()] == [
        "transient", "generator", "local", "runtime", "local", "vendor", "generator",
    ]  # fmt: skip


def test_drop_ins_of_all_kinds_in_the_order_of_their_names(tmp_path: Path) -> None:
    plant(tmp_path, "/usr/lib/systemd/system/a-b@.service")
    plant(tmp_path, "/usr/lib/systemd/system/service.d/10-all.conf", "[Service]\nUser=all\n")
    plant(tmp_path, "/usr/lib/systemd/system/a-@.service.d/30-prefix.conf", "[Service]\nUser=prefix\n")
    plant(tmp_path, "/usr/lib/systemd/system/a-b@.service.d/20-x.conf", "[Service]\nUser=vendor\n")
    plant(tmp_path, "/etc/systemd/system/a-b@.service.d/20-x.conf", "[Service]\nUser=local\n")
    plant(tmp_path, "/etc/systemd/system/a-b@i.service.d/15-i.conf", "[Service]\nUser=instance\n")
    plant(tmp_path, "/etc/systemd/system/a-b@i.service.d/.99.conf", "[Service]\nUser=hidden\n")
    plant(tmp_path, "/etc/systemd/system/a-b@i.service.d/99.txt", "[Service]\nUser=other\n")
    unit = system(tmp_path).unit("a-b@i.service")
    assert unit.fragment is not None and unit.fragment.name == "a-b@.service"
    assert [last_value(found.settings, "Service", "User") for found in unit.drop_ins] == ["all", "instance", "local", "prefix"]
    assert last_value(unit.settings, "Service", "User") == "prefix"


def test_masks(tmp_path: Path) -> None:
    plant(tmp_path, "/usr/lib/systemd/system/a.service")
    link(tmp_path, "/dev/null", "/etc/systemd/system/a.service")
    plant(tmp_path, "/usr/lib/systemd/system/b.service")
    plant(tmp_path, "/etc/systemd/system/b.service", "")
    plant(tmp_path, "/usr/lib/systemd/system/c.service")
    plant(tmp_path, "/usr/lib/systemd/system/c.service.d/x.conf", "[Service]\nUser=c\n")
    link(tmp_path, "/dev/null", "/etc/systemd/system/c.service.d/x.conf")
    manager = system(tmp_path)
    assert [manager.unit(f"{name}.service").is_masked for name in "abc"] == [True, True, False]
    assert manager.unit("c.service").drop_ins == ()


def test_aliases_instances_and_what_wants_them(tmp_path: Path) -> None:
    plant(tmp_path, "/usr/lib/systemd/system/ssh.service")
    link(tmp_path, "/usr/lib/systemd/system/ssh.service", "/etc/systemd/system/sshd.service")
    link(tmp_path, "/usr/lib/systemd/system/ssh.service", "/etc/systemd/system/multi-user.target.wants/ssh.service")
    link(tmp_path, "/usr/lib/systemd/system/ssh.service", "/etc/systemd/system/x.target.upholds/sshd.service")
    plant(tmp_path, "/usr/lib/systemd/system/getty@.service")
    link(tmp_path, "../getty@.service", "/usr/lib/systemd/system/getty.target.requires/getty@tty1.service")
    manager = system(tmp_path)
    assert [found.location for found in manager.files()] == [
        "/usr/lib/systemd/system/getty@.service",
        "/usr/lib/systemd/system/ssh.service",
    ]
    assert manager.unit("sshd.service").fragment is not None
    assert manager.wanted_by("ssh.service") == ["multi-user.target", "x.target"]
    assert manager.wanted_by("getty@.service") == manager.wanted_by("getty@tty1.service") == ["getty.target"]


def test_a_wants_link_to_a_file_that_systemd_does_not_know(tmp_path: Path) -> None:
    plant(tmp_path, "/dev/shm/u.service")
    link(tmp_path, "/dev/shm/u.service", "/etc/systemd/system/multi-user.target.wants/u.service")
    (found,) = system(tmp_path).files()
    assert found.file is not None and (found.name, found.file.path) == ("u.service", "/dev/shm/u.service")


def test_users_have_units_of_their_own_and_in_common(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    plant(tmp_path, "/usr/lib/systemd/user/a.service", "[Service]\nUser=vendor\n")
    plant(tmp_path, "/home/alice/.config/systemd/user/a.service", "[Service]\nUser=own\n")
    plant(tmp_path, "/home/alice/.local/share/systemd/user/b.service")
    plant(tmp_path, "/run/user/1001/systemd/transient/run-1.service")
    managers = read(tmp_path).managers
    assert [(one.scope, one.account.name if one.account else None, one.names()) for one in managers] == [
        ("system", None, []),
        ("user", None, ["a.service"]),
        ("user", "alice", ["a.service", "b.service"]),
        ("user", "bob", ["run-1.service"]),
    ]
    assert [last_value(one.unit("a.service").settings, "Service", "User") for one in managers[1:]] == ["vendor", "own", "vendor"]


def test_specifiers_are_those_of_the_manager(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    text = '[Service]\nEnvironment="TOOL=%h/tool" X=1\nExecStart=${TOOL} %i %I %p %t $X\nExecStart=:${TOOL} %b\n'
    plant(tmp_path, "/etc/systemd/system/a@.service", text)
    plant(tmp_path, "/home/alice/.config/systemd/user/a@.service", text)
    found = []
    for manager in (one for one in read(tmp_path).managers if one.fragments):
        settings = manager.unit("a@x-y.service").settings
        specifiers = unit_specifiers(manager, "a@x-y.service")
        found += [one.words for one in unit_commands(settings, specifiers, unit_environment(settings, specifiers))]
    assert found == [
        ("/root/tool", "x-y", "x/y", "a", "/run", "1"),
        ("${TOOL}", "*"),
        ("/home/alice/tool", "x-y", "x/y", "a", "/run/user/1000", "1"),
        ("${TOOL}", "*"),
    ]


def test_merged_folders_are_read_once(tmp_path: Path) -> None:
    plant(tmp_path, "/usr/lib/systemd/system/a.service")
    link(tmp_path, "usr/lib", "/lib")
    manager = system(tmp_path)
    assert len(manager.fragments_of("a.service")) == len(manager.files()) == 1


def test_what_is_no_unit_file_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    plant(tmp_path, "/etc/systemd/system/a.service.bak")
    plant(tmp_path, "/etc/systemd/system/.service")
    (folder / "dir.service").mkdir()
    os.mkfifo(folder / "fifo.service")
    link(tmp_path, "/nowhere", "/etc/systemd/system/dangling.service")
    link(tmp_path, "loop.service", "/etc/systemd/system/loop.service")
    plant(tmp_path, "/etc/passwd", PASSWD)
    units = read(tmp_path)
    assert units.managers[0].files() == []
    assert [text for text in units.query.unseen if "loop.service" not in text] == []


def test_a_user_cannot_fill_our_memory(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    for number in range(4):
        plant(tmp_path, f"/home/alice/.config/systemd/user/{number}.service", "[Service]\n" + "a=b\n" * 300_000)
    plant(tmp_path, "/home/bob/.config/systemd/user/b.service")
    units = read(tmp_path)
    alice, bob = units.managers[2:]
    assert len(alice.names()) == 2 and bob.names() == ["b.service"]
    assert max(len(found.settings) for found in alice.files()) == 5000
    assert any("/home/alice" in text for text in units.query.cuts)


def test_a_users_many_files_and_links_hide_no_others(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    folder = tmp_path / "home/alice/.config/systemd/user"
    (folder / "default.target.wants").mkdir(parents=True)
    for number in range(3000):
        os.symlink("/dev/null", folder / f"m{number}.service")
        os.symlink("../a@.service", folder / f"default.target.wants/a@{number}.service")
    plant(tmp_path, "/home/alice/.config/systemd/user/a@.service")
    plant(tmp_path, "/home/bob/.config/systemd/user/b.service")
    units = read(tmp_path)
    assert units.managers[-1].names() == ["b.service"]
    assert 1000 <= len(list(units.managers[-2].all_units("service"))) <= 2000, "units and links have limits of their own"
    assert any("links" in text for text in units.query.cuts) and any("1000 files" in text for text in units.query.cuts)


def test_units_that_a_managers_own_folders_define_or_change(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    for name in ("foo-a.service", "bar.service", "t@.service"):
        plant(tmp_path, f"/usr/lib/systemd/user/{name}")
    plant(tmp_path, "/home/alice/.config/systemd/user/foo-.service.d/x.conf")
    plant(tmp_path, "/home/alice/.config/systemd/user/none-.service.d/x.conf")
    link(tmp_path, "/usr/lib/systemd/user/t@.service", "/home/alice/.config/systemd/user/default.target.wants/t@1.service")
    _, common, alice = read(tmp_path).managers
    assert [unit.name for unit in common.all_units("service")] == ["bar.service", "foo-a.service", "t@.service"]
    assert [unit.name for unit in alice.all_units("service")] == ["foo-a.service", "t@1.service"]
    assert list(alice.all_units("timer")) == []


def test_a_link_to_anothers_folder_takes_no_units_from_the_other(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", PASSWD)
    plant(tmp_path, "/home/bob/.config/systemd/user/b.service")
    link(tmp_path, "/home/bob/.config/systemd/user", "/home/alice/.config/systemd/user")
    found = {manager.account.name: manager.names() for manager in read(tmp_path).managers if manager.account}
    assert found["bob"] == ["b.service"]
