"""Which senders are one host."""

from __future__ import annotations

from extension.fleet.hosts import Sender, fleet_now, identify, mark_clocks

T, DAY = 1795436552, 86400
_number = iter(range(10**6))


def _sender(identifier: str, first: int = 0, last: int = DAY, **decorations: str) -> Sender:
    return Sender(next(_number), identifier, decorations, T + first, T + last, 10)


def _named(*senders: Sender) -> dict[str, list[str]]:
    return {key: host.notes for key, host in identify(senders).items()}


def test_a_uuid_is_a_host_whatever_it_is_called() -> None:
    renamed = _named(_sender("a", 0, 100, host_uuid="U-1", hostname="a"), _sender("b", 200, 300, host_uuid="u-1", hostname="b"))
    assert renamed == {"u-1": ["renamed"]}
    assert len(_named(_sender("x", host_uuid="u-1"), _sender("x", host_uuid="u-1", minehunt_version="0.2.0"))) == 1


def test_two_hosts_of_one_name() -> None:
    assert _named(_sender("a", host_uuid="u-1", hostname="a"), _sender("a", host_uuid="u-2", hostname="a")) == {
        "u-1": ["shared_name"], "u-2": ["shared_name"],
    }  # fmt: skip


def test_clones_that_share_a_uuid_are_two() -> None:
    clones = _named(
        _sender("a", 0, 5 * DAY, host_uuid="u", hostname="a"), _sender("b", 100, 5 * DAY, host_uuid="u", hostname="b")
    )
    assert clones == {"u/a": ["shared_uuid"], "u/b": ["shared_uuid"]}


def test_a_uuid_that_boards_without_one_say_is_none() -> None:
    for junk in (
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
    ):
        assert set(_named(_sender("a", host_uuid=junk), _sender("b", host_uuid=junk))) == {"name:a", "name:b"}


def test_a_triage_without_a_uuid_belongs_to_the_host_of_its_name() -> None:
    assert list(_named(_sender("uuid", host_uuid="u-1", hostname="web"), _sender("web"))) == ["u-1"]
    two = [_sender("x", host_uuid="u-1", hostname="web"), _sender("y", host_uuid="u-2", hostname="web"), _sender("web")]
    assert set(_named(*two)) == {"u-1", "u-2", "name:web"}


def test_now_is_when_the_logs_end_but_for_clocks_that_are_ahead() -> None:
    hosts = list(identify([_sender(f"h{n}", 0, DAY + n) for n in range(100)] + [_sender("far", 0, 9000 * DAY)]).values())
    now = fleet_now(hosts, T)
    assert T + DAY <= now <= T + DAY + 100
    jumping = mark_clocks(hosts, now, 0)
    assert [host.name for host in jumping] == ["far"] and "clock_ahead" in jumping[0].notes
    assert fleet_now([], 5.0) == 5
