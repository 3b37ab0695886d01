"""`make kernels`: a triage and the tests that look at the kernel, in an untouched guest of each stock kernel."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

from tests.kernels.cache import RigError
from tests.kernels.checkout import packed
from tests.kernels.guest import Finished, Guest, show_through
from tests.kernels.images import Image
from tests.kernels.triage import Findings, findings_of

# Emulation is tens of times slower than the machine that it runs on.
SLOW = {"MINEHUNT_BUDGET_FACTOR": "50"}
SUBJECTS = (
    "tests/tables/processes", "tests/tables/kernel", "tests/tables/network", "tests/tables/host/processes",
    "tests/tables/host/network/test_sockets.py",
)  # fmt: skip
# What depends most on the kernel, and ends within minutes; parsers fed with garbage depend on none.
QUICK = (
    "tests/tables/kernel", "tests/tables/host/processes/test_cgroups.py", "tests/tables/host/processes/test_proc_links.py",
    "tests/tables/host/processes/test_procfs.py", "tests/tables/host/processes/test_visibility.py",
    "tests/tables/host/network/test_sockets.py", "tests/tables/processes/test_process_census.py",
    "-knot take_anything and not unaccounted",
)  # fmt: skip
_RESULTS = "/run/minehunt-tests.xml"


@dataclass(frozen=True)
class Results:
    """How tests ended; the lists hold `name: why`."""

    passed: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]


def check(image: Image, tests: Sequence[str]) -> bool:
    """Run the triage and these tests (pytest's arguments) in a guest, print what came of it; whether all is well."""
    started = time.monotonic()
    with Guest(image) as guest:
        asked = guest.run(["python3", "-m", "tests.kernels.facts"], packed())
        if asked.status:
            raise RigError(f"no facts of the guest: {_end_of(asked)}")
        facts = json.loads(asked.output)
        print(f"\n{image.name}: Linux {image.release}, {facts['version']}")
        print(f"  lacks: {', '.join(facts['lacks']) or 'nothing that is asked for'}")
        print(f"  links of a folder of procfs: {'every entry' if facts['counts_files'] else 'folders only'}", flush=True)
        findings = triage(guest)
        print(findings.text("  "), flush=True)
        results = run_tests(guest, tests)
    for kind, names in (("FAILED", results.failed), ("skipped", results.skipped)):
        for name in names:
            print(f"  {kind} {name}")
    print(f"  tests: {results.passed} passed, {len(results.failed)} failed, {len(results.skipped)} skipped")
    print(f"{image.name}: {time.monotonic() - started:.0f} s", flush=True)
    return findings.is_clean and not results.failed


def triage(guest: Guest) -> Findings:
    """What a triage with the checkout's own engine finds in the guest. Raises RigError when it cannot run."""
    command = ["python3", "-m", "extension", "triage", "--engine", "embedded", "--format", "json"]
    return findings_of(guest.run(command, environment=SLOW))


def run_tests(guest: Guest, tests: Sequence[str]) -> Results:
    """Run tests of the checkout in the guest, showing pytest's progress. Raises RigError when none could be run."""
    options = ["-q", "-p", "no:cacheprovider", "--tb=short", "-r", "", f"--junit-xml={_RESULTS}"]
    ended = guest.run(["python3", "-m", "pytest", *options, *tests], environment=SLOW, show=show_through)
    written = guest.run(["cat", _RESULTS])
    # 0: all passed; 1: some failed. Everything else is an error of the command or of a test file.
    if written.status or ended.status not in (0, 1):
        raise RigError(f"pytest ended with {ended.status} in the guest: {_end_of(ended)}")
    return read_results(written.output)


def read_results(text: str) -> Results:
    """The results in a JUnit file."""
    passed, failed, skipped = 0, [], []
    for case in ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('classname', '').removeprefix('tests.tables.')}.{case.get('name')}"
        outcomes = {child.tag: child.get("message", "").strip().partition("\n")[0] for child in case}
        if "failure" in outcomes or "error" in outcomes:
            failed.append(f"{name}: {outcomes.get('failure', outcomes.get('error'))}")
        elif "skipped" in outcomes:
            skipped.append(f"{name}: {outcomes['skipped']}")
        else:
            passed += 1
    return Results(passed, tuple(failed), tuple(skipped))


def _end_of(ended: Finished) -> str:
    return (ended.output + ended.errors)[-2000:]
