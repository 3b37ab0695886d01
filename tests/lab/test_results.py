"""A run of tests has one room of each subject, whoever asks first; what grows old in one ends with the run."""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab import results
from tests.lab.results import all_cases, must_age, why_not
from tests.suite import aging
from tests.support.osquery_wire import wait_until

_AGED = [(name, case) for name, case in all_cases() if must_age(name)]


def test_who_asks_while_a_room_is_in_use_waits_for_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = []

    def room(name: str) -> list[dict[str, Any]]:
        rooms.append(name)
        time.sleep(0.3)
        return [{"case": name}]

    monkeypatch.setattr(results, "_in_a_room", room)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: results._kept("cases_one", tmp_path), range(2)))
    assert answers == [[{"case": "cases_one"}]] * 2 and rooms == ["cases_one"]
    assert {path.name for path in tmp_path.iterdir()} == {"cases_one.json", "cases_one.lock"}


def session(leader: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, _, _, number = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            if int(number) == leader and state not in "ZX":
                found.append(int(name))
    return found


@pytest.mark.root
@pytest.mark.skipif(all(why_not(*each) for each in _AGED), reason="nothing that must grow old can be planted here")
def test_a_room_in_which_something_grows_old_ends_with_the_suite(tmp_path: Path) -> None:
    with aging({**os.environ, "LAB_RESULTS": str(tmp_path), "TMPDIR": str(tmp_path)}) as process:
        # It, unshare(1), the room's init, and what plants there.
        wait_until(lambda: len(session(process.pid)) >= 4, "the room is entered")
    wait_until(lambda: not session(process.pid), "the room ends")
    assert not list(tmp_path.glob("minehunt-lab-*")) and not list(tmp_path.glob("*.json"))
