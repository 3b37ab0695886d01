"""The rig's own logic, without a guest: what goes into one, and how its answers are read."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import initrd, requirements, untouched, whole_host
from tests.kernels.cache import RigError, forget_others, key, made_whole
from tests.kernels.checkout import packed
from tests.kernels.comparisons import COMPARISONS, Comparison, compare
from tests.kernels.guest import Finished
from tests.kernels.images import KERNELS
from tests.kernels.triage import findings_of

REPOSITORY = Path(__file__).parents[2]


def test_what_could_not_be_built_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RigError), made_whole(tmp_path / "image") as part:
        part.mkdir()
        (part / "disk").touch()
        raise RigError("no space")
    assert list(tmp_path.iterdir()) == []


def test_builds_of_other_packages_are_forgotten_and_other_kernels_kept(tmp_path: Path) -> None:
    names = [f"kernel-6.1-{key(1)}", f"kernel-6.1-{key(2)}", f"kernel-6.1-old-{key(1)}"]
    for name in names:
        (tmp_path / name).mkdir()
    forget_others(tmp_path / names[0], f"kernel-6.1-{'?' * len(key())}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], names[2]]


def test_the_guest_gets_the_working_tree_without_what_git_ignores() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed({".cache/more": b"\0"}))) as tar:
        names = tar.getnames()
    assert {"tests/kernels/test_rig.py", "Makefile", ".cache/more"} <= set(names)
    assert not [name for name in names if name.startswith((".venv", "dist/")) or name.endswith(".pyc")]


def test_the_guests_python_gets_what_the_lock_files_name_for_it_with_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = (
        "one==1 ; python_full_version < '3.10' \\\n    --hash=sha256:a\n    # via x\n"
        "one==2 ; python_full_version >= '3.10' \\\n    --hash=sha256:b \\\n    --hash=sha256:c\n"
        "two==3 ; sys_platform == 'win32' \\\n    --hash=sha256:d\nthree==4 \\\n    --hash=sha256:e\n"
    )
    monkeypatch.setattr(requirements, "locked", lambda: lock * 2)
    assert "".join(requirements.for_python("3.11.2")).split() == [
        *("one==2", "\\", "--hash=sha256:b", "\\", "--hash=sha256:c"),
        *("three==4", "\\", "--hash=sha256:e"),
    ]


def test_modules_load_after_what_they_depend_on(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "fs/ext4.ko.xz: fs/jbd2.ko.xz lib/crc16.ko.xz\nfs/jbd2.ko.xz:\nlib/crc16.ko.xz:\nnet/other.ko.xz:\n"
        "drivers/virtio_blk.ko.xz: drivers/virtio-ring.ko.xz drivers/virtio.ko.xz\n"
    )
    ordered = [path.name.partition(".")[0] for path in initrd.in_order(tmp_path)]
    assert ordered == ["virtio", "virtio-ring", "virtio_blk", "crc16", "jbd2", "ext4"]


def test_findings_are_detections_rows_and_what_failed_or_was_cut() -> None:
    def query(name: str, kind: str, status: str = "normal", rows: int = 0) -> dict[str, Any]:
        gaps = [{"table": "t", "why": "cut", "kind": "truncated"}] if status == "incomplete" else []
        error = "why" if status == "error" else None
        return {"name": name, "kind": kind, "status": status, "error": error, "gaps": gaps, "rows": [{"a": "1"}] * rows}

    queries = [query("d", "detection", "abnormal", 7), query("e", "evidence", rows=2), query("p", "policy", "abnormal")]
    cut = [query("f", "detection", "error"), query("g", "detection", "incomplete")]
    document = {"steps": [{"queries": queries}, {"queries": cut}], "blind_spots": [{"table": "t", "why": "w"}]}
    found = findings_of(Finished(1, json.dumps(document), ""))
    assert (list(found.detections), found.errors, found.unseen) == (["d"], {"f": "why", "g": "t: cut"}, ("t: w",))
    assert not found.is_clean
    assert "DETECTION d: 7 rows" in found.text() and "detection rows: 7" in found.text()
    with pytest.raises(RigError, match="cannot"):
        findings_of(Finished(2, "", "cannot"))


def test_results_of_tests_name_what_failed_and_what_was_skipped() -> None:
    text = """<testsuites><testsuite>
        <testcase classname="tests.tables.host.test_a" name="one"/>
        <testcase classname="tests.tables.host.test_a" name="two"><failure message="assert 1 == 2&#10;more"/></testcase>
        <testcase classname="tests.tables.host.test_a" name="three"><skipped message="no compiler"/></testcase>
    </testsuite></testsuites>"""
    results = untouched.read_results(text)
    assert results == untouched.Results(1, ("host.test_a.two: assert 1 == 2",), ("host.test_a.three: no compiler",))


def test_every_test_that_a_guest_runs_is_there() -> None:
    paths = [word for word in (*untouched.SUBJECTS, *untouched.QUICK) if not word.startswith("-")]
    assert all((REPOSITORY / path).exists() for path in paths)
    assert {"5.10", "6.1", "6.12"} <= set(KERNELS)


def test_every_scenario_has_a_name_and_every_comparison_one_of_its_own() -> None:
    assert all(scenario.keys() <= {"name", "does"} and scenario["name"] for scenario in whole_host.scenarios())
    assert len({each.name for each in COMPARISONS}) == len(COMPARISONS)


class Engine:
    """Answers every statement with the same lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def query(self, sql: str) -> list[dict[str, str]]:
        return [{"line": line} for line in self.lines]


def test_a_comparison_names_what_only_one_side_has(tmp_path: Path) -> None:
    found = compare(Engine("a", "b"), Comparison("x", "", "printf 'b\\nc  c\\n'"))  # type: ignore[arg-type]
    assert (found.only_table, found.only_tool, found.error) == (["a"], ["c c"], "")
    # What the tool says of a thing that comes and goes is in doubt.
    changes = Comparison("x", "", f"echo b; test -e {tmp_path}/seen || echo c; touch {tmp_path}/seen")
    assert compare(Engine("b"), changes).only_tool == []  # type: ignore[arg-type]
    assert compare(Engine("b"), Comparison("x", "", "echo wrong >&2; exit 3")).error == "RuntimeError: exit 3: wrong"  # type: ignore[arg-type]
