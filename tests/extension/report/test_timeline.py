"""The timeline: what is an event, which lane it is in, and that no mark hides another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from extension.report.drawing import LEFT, WIDTH, draw
from extension.report.timeline import LANES, Event, events
from tests.support.made_triage import NOW, made, process

DAY = 86400


def test_findings_become_events_in_order_each_once_with_the_worst_severity() -> None:
    suspect = process(7, 1, "x", start_time=str(NOW - 100))
    listed, left_out = events(
        made(
            {
                "miner_process": [suspect],
                "kernel_thread_masquerade": [suspect],
                "fresh_hidden_elf": [{"path": "/tmp/.x", "mtime": str(NOW - 200), "ctime": str(NOW - 200), "btime": "0"}],
                "cron_file_odd": [{"path": "/etc/cron.d/.x", "mtime": str(NOW - 300)}],
                "known_malware_key": [{"username": "root", "path": "/root/.ssh/authorized_keys", "ctime": str(NOW - 400)}],
                "brute_force_login_succeeded": [
                    {"username": "root", "remote_address": "192.0.2.1", "first_success_after_failures": str(NOW - 500)}
                ],
            }
        )
    )
    assert left_out == 0
    assert [(event.lane, event.subject, event.words) for event in listed] == [
        ("logins", ("root", "192.0.2.1"), ["guessed"]),
        ("access", ("/root/.ssh/authorized_keys",), ["touched"]),
        ("startup", ("/etc/cron.d/.x",), ["written"]),
        ("files", ("/tmp/.x",), ["written", "touched"]),
        ("processes", ("x", "7"), ["started"]),
    ]
    assert listed[-1].severity == "critical" and listed[-1].queries == ["miner_process", "kernel_thread_masquerade"]


def test_what_happened_around_is_told_where_it_is_recent() -> None:
    logins = [
        {"username": "kim", "remote": "192.0.2.9", "logged_in_at": str(NOW - age)} for age in (40 * DAY, 3600, *range(60, 160))
    ]
    listed, _ = events(made({"logins": logins}))
    assert len(listed) == 40 and {event.severity for event in listed} == {""}
    assert min(event.time for event in listed) > NOW - 3600


def test_only_so_many_are_told_and_the_rest_counted() -> None:
    rows = [{"path": f"/tmp/.{n}", "mtime": str(NOW - 1000 + n)} for n in range(500)]
    listed, left_out = events(made({"fresh_hidden_elf": rows}))
    assert (len(listed), left_out) == (200, 300) and listed[-1].subject == ("/tmp/.499",)


def test_times_that_are_none_give_no_event() -> None:
    rows = [{"path": "/x", "mtime": value} for value in ("", "0", "-5", "soon", "9" * 40, "١٢")]
    assert events(made({"fresh_hidden_elf": rows})) == ([], 0)


@given(st.lists(st.tuples(st.integers(0, 2 * NOW), st.sampled_from(LANES)), max_size=60))
def test_every_event_is_drawn_once_inside_of_its_lane_and_no_mark_covers_another(times: list[tuple[int, str]]) -> None:
    listed = [Event(time, lane, ["written"], ("x",), ["q"], "high") for time, lane in sorted(times)]
    drawing = draw(listed, float(NOW))
    marks = [mark for lane in drawing.lanes for mark in lane.marks]
    assert sorted(number for mark in marks for number in mark.numbers) == list(range(1, len(listed) + 1))
    for lane in drawing.lanes:
        for mark in lane.marks:
            assert LEFT <= mark.x <= WIDTH and lane.y < mark.y < lane.y + lane.height <= drawing.height
        places = [(mark.x, mark.y) for mark in lane.marks]
        assert all(a == b or abs(a[0] - b[0]) >= 20 or abs(a[1] - b[1]) >= 20 for a in places for b in places)
        assert len(set(places)) == len(places)
    assert all(a[0] - b[0] >= 60 for a, b in zip(drawing.ticks, drawing.ticks[1:]))
