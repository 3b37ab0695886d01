"""Every case of the lab is found by each query that it names, and its innocent twin by none of the pack."""

from __future__ import annotations

import pytest

from tests.lab.case import Case
from tests.lab.experiment import SQL
from tests.lab.results import all_cases, must_age, run_subject, shares_pids, why_not

CASES = all_cases()
PLANTED = [
    pytest.param(name, case, id=f"{name}/{case.name}", marks=[pytest.mark.alone] if shares_pids(name) or must_age(name) else [])
    for name, case in CASES
]


@pytest.mark.root
@pytest.mark.parametrize(("subject", "case"), PLANTED)
def test_case_is_found_and_twin_is_silent(subject: str, case: Case) -> None:
    reason = why_not(subject, case)
    if reason is not None:
        pytest.skip(reason)
    assert run_subject(subject)[case.name].explain() == ""


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[case.name for _, case in CASES])
def test_case_is_whole(case: Case) -> None:
    assert case.found_by.keys() <= SQL.keys() and case.found_by
    assert case.title and all(twin.title for twin in case.twins) and case.twins


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for _, case in CASES]
    assert len(names) == len(set(names))
