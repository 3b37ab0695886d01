"""`python -m tests.lab` (as root): the table of all cases, what finds each, and whether its innocent twin is silent."""

from __future__ import annotations

import os
import sys

from tests.lab.experiment import DETECTIONS
from tests.lab.results import all_cases, run_subject, why_not


def main() -> int:
    """Print the table; 0 when both columns are complete."""
    if os.geteuid() != 0:
        print("the lab plants real mounts, namespaces and processes: it needs root", file=sys.stderr)
        return 2
    problems: list[str] = []
    skipped = 0
    cases = all_cases()
    print(f"{'step':>4}  {'case':<66}  {'found by':<66}  twin silent")
    for subject, case in cases:
        reason = why_not(subject, case)
        if reason is not None:
            skipped += 1
            print(f"{case.step:>4}  {case.title:<66}  skipped: {reason}")
            continue
        result = run_subject(subject)[case.name]
        found = ", ".join(("NOT " if name in result.missing else "") + name for name in case.found_by)
        silent = "yes" if result.is_twin_silent else "NO"
        twins = "; ".join(twin.title for twin in case.twins)
        print(f"{case.step:>4}  {case.title:<66}  {'ERROR' if result.errors else found:<66}  {silent}: {twins}", flush=True)
        if result.explain():
            problems.append(f"{case.name}:\n{result.explain()}")
    print("", *problems, sep="\n")
    covered = {name for _, case in cases for name in case.found_by}
    uncovered = [query.name for query in DETECTIONS if query.name not in covered]
    print(f"{len(cases)} cases, {len(problems)} incomplete, {skipped} skipped")
    print(f"detections without a case here: {', '.join(uncovered) or 'none'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
