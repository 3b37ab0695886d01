"""The .deb and the .rpm: what is in them, and that installing, upgrading and removing them does what it should and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from build import packages
from build.deliver import BuildError
from tests.support.busybox import install_busybox

# What is built is downloaded first: the others have no network.
pytestmark = pytest.mark.alone
REPOSITORY = Path(__file__).parents[2]
LINE = "/usr/lib/minehunt/minehunt.ext\n"
LISTS = ("etc/osquery/extensions.load", "opt/orbit/extensions.load")
POOLS = "pool.site.example\n192.0.2.7:3333\n"
# What the maintainer scripts and rpm's own shell call.
APPLETS = ("sh", "cat", "dirname", "echo", "grep", "mkdir", "mktemp", "rm", "rmdir", "tail")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    (folder / "site-pools.txt").write_text(POOLS)
    return {file.suffix: file for file in packages.build(folder, [folder / "site-pools.txt"])}


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The next version, with another example configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "__version__", "99.0.0")
        return {file.suffix: file for file in packages.build(tmp_path_factory.mktemp("newer"))}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that dpkg and rpm take for a host, with an osquery that loads another extension already."""
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc/osquery", "opt/orbit", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("status", "available"):
        (tmp_path / "var/lib/dpkg" / file).touch()
    (tmp_path / LISTS[0]).write_text("/opt/other.ext")
    (tmp_path / LISTS[0]).chmod(0o640)
    return tmp_path


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def dpkg(root: Path, *arguments: str) -> None:
    run("dpkg", f"--root={root}", "--force-depends", "--force-script-chrootless", "--force-confold", *arguments)


def rpm(root: Path, *arguments: str) -> None:
    run("rpm", "--root", str(root), "--nodeps", "--force-debian", *arguments)


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on PATH")


def check_installed(root: Path) -> None:
    file = root / "usr/lib/minehunt/minehunt.ext"
    assert (file.stat().st_mode & 0o7777, file.stat().st_uid, file.stat().st_gid) == (0o755, 0, 0)
    assert os.readlink(root / "usr/bin/minehunt") == "../lib/minehunt/minehunt.ext"
    assert (root / "etc/minehunt/indicators.d/site-pools.txt").read_text() == POOLS
    for path in (root / "etc/minehunt").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o022) == (0, 0)
    assert (root / LISTS[0]).read_text() == "/opt/other.ext\n" + LINE
    assert (root / LISTS[0]).stat().st_mode & 0o777 == 0o640
    assert (root / LISTS[1]).read_text() == LINE


def check_removed(root: Path) -> None:
    assert (root / LISTS[0]).read_text() == "/opt/other.ext\n"
    assert not (root / LISTS[1]).exists()
    assert not (root / "usr/lib/minehunt").exists()
    assert not (root / "usr/bin/minehunt").is_symlink()


@pytest.mark.root
def test_the_deb_is_installed_upgraded_and_removed(built: dict[str, Path], newer: dict[str, Path], root: Path) -> None:
    needs("dpkg")
    dpkg(root, "-i", str(built[".deb"]))
    check_installed(root)
    config = root / "etc/minehunt/minehunt.yaml"
    config.write_text("indicators: []\n")
    dpkg(root, "-i", str(newer[".deb"]))
    assert config.read_text() == "indicators: []\n"
    assert (root / LISTS[0]).read_text() == "/opt/other.ext\n" + LINE
    dpkg(root, "-r", "minehunt")
    check_removed(root)
    assert config.exists()
    dpkg(root, "-P", "minehunt")
    assert not (root / "etc/minehunt").exists()


@pytest.mark.root
def test_the_rpm_is_installed_upgraded_and_removed(built: dict[str, Path], newer: dict[str, Path], root: Path) -> None:
    needs("rpm", "busybox", "ldd")
    # A shell for the scripts that rpm runs inside.
    install_busybox(root, *APPLETS)
    rpm(root, "-i", str(built[".rpm"]))
    check_installed(root)
    config = root / "etc/minehunt/minehunt.yaml"
    config.write_text("indicators: []\n")
    rpm(root, "-U", str(newer[".rpm"]))
    assert config.read_text() == "indicators: []\n"
    assert (root / LISTS[0]).read_text() == "/opt/other.ext\n" + LINE
    rpm(root, "-e", "minehunt")
    check_removed(root)
    assert config.exists() or config.with_suffix(".yaml.rpmsave").exists()


@pytest.mark.root
def test_without_osquery_and_orbit_only_osquerys_list_is_made(built: dict[str, Path], root: Path) -> None:
    needs("dpkg")
    shutil.rmtree(root / "etc/osquery")
    shutil.rmtree(root / "opt")
    dpkg(root, "-i", str(built[".deb"]))
    assert (root / LISTS[0]).read_text() == LINE
    assert not (root / "opt").exists()
    dpkg(root, "-r", "minehunt")
    assert not (root / "etc/osquery").exists()


def test_the_linters_have_nothing_to_say(built: dict[str, Path]) -> None:
    needs("lintian", "rpmlint")
    assert run("lintian", "--allow-root", str(built[".deb"])) == ""
    said = run("rpmlint", "-c", str(REPOSITORY / "build/package_files/rpmlint.toml"), str(built[".rpm"]))
    assert "0 errors, 0 warnings" in said, said


@pytest.mark.parametrize("line", ["not a pool at all", "10.0.0.0/99"])
def test_a_list_that_minehunt_would_refuse_is_named(line: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text(f"pool.site.example\n{line}\n")
    with pytest.raises(BuildError, match=r"bad\.txt.*line 2"):
        packages.build(tmp_path, [bad])
    assert [file.name for file in tmp_path.iterdir()] == ["bad.txt"]
