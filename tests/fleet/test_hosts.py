"""Which senders are one host."""

from __future__ import annotations

from collections.abc import Callable

from extension.fleet.answers import Ground
from extension.fleet.clocks import fleet_now, mark_clocks
from extension.fleet.hosts import Host, Sender, identify
from tests.fleet.looking import line

T, DAY, HOUR = 1795436552, 86400, 3600
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


def test_machines_that_go_by_the_uuid_of_boards_without_one_are_told_apart_by_name() -> None:
    junk = "03000200-0400-0500-0006-000700080009"
    told = _named(*(_sender(junk, host_uuid=junk, hostname=name) for name in ("a", "b", "c")))
    assert told == {"name:a": [], "name:b": [], "name:c": []}
    # And where several were given one identifier, by what each is called.
    assert len(_named(*(_sender("golden", hostname=name) for name in ("a", "b")))) == 2


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


def test_an_identifier_that_is_made_anew_at_each_start_is_one_host() -> None:
    one, two, three = (f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2, 3))
    starts = [
        _sender(one, 0, 100, hostname="a"),
        _sender(two, 200, DAY, hostname="a"),
        _sender(three, DAY, 2 * DAY, hostname="a"),
    ]
    (host,) = identify(starts).values()
    assert (host.name, host.first, host.last, len(host.senders)) == ("a", T, T + 2 * DAY, 3)
    # So is one that was set up anew, but of those that nobody named nobody knows.
    (host,) = identify(
        [_sender("x", 0, 100, host_uuid="u-1", hostname="a"), _sender("x", 200, 300, host_uuid="u-2", hostname="a")]
    ).values()
    assert (host.key, host.notes) == ("u-2", ["new_identifier"])
    nameless = {"hostname": "localhost"}
    assert (
        len(_named(_sender("x", 0, 100, host_uuid="u-1", **nameless), _sender("x", 200, 300, host_uuid="u-2", **nameless))) == 2
    )
    # Heard together they are two machines of one name.
    assert len(_named(_sender(one, 0, DAY, hostname="a"), _sender(two, 0, DAY, hostname="a"))) == 2


def test_clones_of_one_uuid_and_one_name_are_told_by_their_instances() -> None:
    one, two = (f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
    told = {"host_uuid": "u", "hostname": "a"}
    clones = _named(_sender(one, 0, DAY, **told), _sender(two, 100, DAY, **told))
    assert clones == {f"u/{one}": ["shared_uuid", "shared_name"], f"u/{two}": ["shared_uuid", "shared_name"]}
    # An instance that was made anew, and a host that two pipelines send under the identifiers that each chose.
    assert set(_named(_sender(one, 0, 100, **told), _sender(two, 200, DAY, **told))) == {"u"}
    assert set(_named(_sender(one, 0, DAY, **told), _sender("a", 0, DAY, **told))) == {"u"}


def test_containers_of_one_machine_are_told_by_the_names_and_identifiers_that_they_were_given() -> None:
    """As when several osqueryds run on one machine for some minutes, side by side or one after the other."""
    by_name = [_sender(name, n, 600 + n, host_uuid="u", hostname=name) for n, name in enumerate(("a", "b", "c"))]
    assert set(_named(*by_name)) == {"u/a", "u/b", "u/c"}
    for pause in (0, 700):
        given = [_sender(f"host-{n}", n * pause, n * pause + 600, host_uuid="u", hostname="box") for n in range(3)]
        assert {key: host.name for key, host in identify(given).items()} == {f"u/host-{n}": f"host-{n}" for n in range(3)}
    # What one host calls itself in two pipelines, and before its decorations are there.
    one = [_sender("u", host_uuid="u", hostname="box"), _sender("box.example", host_uuid="u", hostname="box")]
    assert set(_named(*one)) == {"u"}


def test_a_name_with_and_without_its_domain_is_one_name() -> None:
    assert _named(_sender("a", host_uuid="u", hostname="a"), _sender("a", host_uuid="u", hostname="a.example.org")) == {"u": []}


def _clocks(*others: Sender) -> dict[str, Host]:
    hosts = list(identify([*(_sender(f"h{n}", n, 5 * DAY + n) for n in range(9)), *others]).values())
    mark_clocks(hosts, fleet_now(hosts, T + 900 * DAY), 0)
    return {host.name: host for host in hosts}


def test_a_clock_that_is_off_from_the_first_line_to_the_last_is_wrong() -> None:
    hosts = _clocks(_sender("late", -900 * DAY, -895 * DAY), _sender("early", 3 * DAY, 8 * DAY))
    assert (hosts["late"].notes, hosts["early"].notes) == (["clock_behind"], ["clock_ahead"])
    assert abs(hosts["late"].clock_ahead + 900 * DAY) < HOUR and abs(hosts["early"].clock_ahead - 3 * DAY) < HOUR
    # One that fell silent, one that came later and one whose log is of another time altogether are only that.
    hosts = _clocks(_sender("silent", 0, 2 * DAY), _sender("new", 3 * DAY, 5 * DAY), _sender("old", -900 * DAY, -899 * DAY))
    assert all(hosts[name].notes == [] and not hosts[name].clock_ahead for name in ("silent", "new", "old"))


def test_decorations_beside_the_lines_other_keys_are_read(grounded: Callable[..., Ground]) -> None:
    """As --decorations_top_level writes them."""
    lines = [line("cron_jobs", 0, T, "added", f"h{n}", command="x") for n in range(2)]
    lines[0] |= lines[0].pop("decorations") | {"minehunt_version": "0.2.0"}
    hosts = grounded(*lines).hosts
    found = sorted((host.key, host.name, host.version) for host in hosts.values())
    assert found == [("uuid-h0", "h0", "0.2.0"), ("uuid-h1", "h1", "")]
