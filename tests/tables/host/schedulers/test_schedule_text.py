from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.host.schedulers.schedule_text import anacron_text, cron_text


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0-59/5 * * * *", "every 5 minutes"),
        ("30 3 * * *", "at 03:30 every day"),
        ("30 3,15 * * *", "at 03:30 and 15:30 every day"),
        ("17 * * * *", "every hour at minute 17"),
        ("09,39 * * * *", "every hour at minutes 9 and 39"),
        ("0 */2 * * *", "every 2 hours at minute 0"),
        ("* 3 * * *", "every minute of hour 3"),
        ("*/10 8-18 * * 1-5", "every 10 minutes from 08:00 to 18:59 on Monday to Friday"),
        ("25 6 * * 7", "at 06:25 on Sunday"),
        ("25 6 * * sun", "at 06:25 on Sunday"),
        ("52 6 1 * *", "at 06:52 on day 1 of the month"),
        ("0 0 1,15 * 5", "at 00:00 on days 1 and 15 of the month or on Friday"),
        ("5 6 */2 * 0", "at 06:05 every 2 days of the month and only on Sunday"),
        ("0 4 * Jan,jun-AUG *", "at 04:00 every day in January and June to August"),
        ("~ 3 * * *", "at a random minute of hour 3"),
        ("10~20 3 * * *", "at minutes a random one of 10 to 20 of hour 3"),
        ("5 8-18,20 * * *", "at minute 5 of the hours 8 to 18 and 20"),
        ("*/7 3,5 * * *", "every 7 minutes of the hours 3 and 5"),
        ("0,5,10,15 1,2,3 * * *", "at minutes 0, 5, 10 and 15 of the hours 1, 2 and 3"),
        ("5-55/10 * * * *", "every hour at minutes 5 to 55 in steps of 10"),
        ("-*/15 * * * *", "every 15 minutes"),
        ("@reboot", "at boot"),
        ("@midnight", "at 00:00 every day"),
        ("@90", "every 90 seconds"),
        ("@fortnightly", None),
        ("60 * * * *", None),
        ("* 24 * * *", None),
        ("* * 0 * *", None),
        ("*/0 * * * *", None),
        ("5-1 * * * *", None),
        ("* * * * funday", None),
        ("1 2 3", None),
        ("", None),
    ],
)
def test_cron(schedule: str, expected: str | None) -> None:
    assert cron_text(schedule) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("1 5", "every day, 5 minutes after anacron starts"),
        ("7 25", "every 7 days, 25 minutes after anacron starts"),
        ("@monthly 45", "every month, 45 minutes after anacron starts"),
        ("@often 1", None),
    ],
)
def test_anacron(schedule: str, expected: str | None) -> None:
    assert anacron_text(schedule) == expected


FIELD = st.text(alphabet=st.sampled_from("*?0123456789,-/~janmo٣"), max_size=12)


@given(st.lists(FIELD, max_size=6).map(" ".join) | st.text(max_size=30))
def test_no_schedule_raises(schedule: str) -> None:
    text = cron_text(schedule)
    assert text is None or text
    assert anacron_text(schedule) != ""
