"""What the report says in each of its forms: the same in all, the gravest first, hosts of one name told apart."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extension.fleet.columns import STACKS
from extension.fleet.names import Names
from extension.fleet.report import html, markdown, text
from extension.fleet.report.called import called
from extension.fleet.report.document import Document
from extension.fleet.report.words import rare_kind
from tests.fleet.looking import line, miner, reported

T = 1795436552
FORMS = (text, markdown, html)


def _flat(rendered: str) -> str:
    return " ".join(rendered.split())


def _agents(count: int) -> list[dict[str, Any]]:
    """Hosts with one finding and no other: a unit of an agent that no package owns."""
    unit = {
        "unit": "agent.service",
        "path": "/etc/systemd/system/agent.service",
        "command": "/opt/agent",
        "program_path": "/opt/agent",
    }
    return [line("systemd_unpackaged_system_program", 1, T + n, "added", f"agent{n}", **unit) for n in range(count)]


def test_the_gravest_of_those_in_no_campaign_comes_first(tmp_path: Path, names: Names) -> None:
    of_campaign = [miner(f"in{n}", T + 5000 + n, wallet="4w") for n in range(2)]
    history = line("shell_history_switched_off", 1, T, "added", "low", path="/root/.bash_history", username="root")
    weak = [
        line("program_file_mismatch", 1, T, "added", "medium", pid="9", exe_path="/opt/a", start_time=str(T)),
        line("cron_unpackaged_program", 1, T, "added", "medium", path="/etc/cron.d/a", command="/opt/a", program_path="/opt/a"),
    ]
    report = reported(tmp_path, names, [history, *weak, miner("grave", T + 9000, wallet="4own"), *of_campaign])
    assert [one["host"] for one in report["incidents"]] == ["in0", "in1", "grave", "medium", "low"]
    assert [one["is_compromise"] for one in report["incidents"]] == [True, True, True, True, False]


def test_text_has_the_sections_that_the_other_forms_have(tmp_path: Path, names: Names) -> None:
    lines = _agents(6) + [miner(f"h{n}", T + n, wallet="4wallet", exe_sha256="e" * 64) for n in range(2)]
    report = reported(tmp_path, names, lines)
    for language, alike, block in (
        ("en", "Same finding on many hosts", "Block and hunt for: wallet 4wallet"),
        ("zh", "多台主机的相同发现", "应封锁并搜寻：钱包 4wallet"),
    ):
        told = _flat(text.render(report, language))
        assert block in told and f" {'e' * 64} " in told
        assert alike in told and "systemd_unpackaged_system_program" in told.partition(alike)[2]
    assert "agent0, agent1, agent2 +3" in text.render(report, "en")


def test_hosts_of_one_name_are_told_apart(tmp_path: Path, names: Names) -> None:
    lines = [miner(f"h{n}", T + n, wallet="4wallet") for n in range(4)]
    for number, each in enumerate(lines[:3]):
        uuid = f"{number}ac52560-5717-4562-b3fc-2c963f66afa6"
        each.update(hostIdentifier=uuid, decorations={"host_uuid": uuid, "hostname": "localhost"})
    report = reported(tmp_path, names, lines)
    apart = ["localhost [0ac52560]", "localhost [1ac52560]", "localhost [2ac52560]"]
    assert sorted(called(report).values()) == ["h3", *apart]
    for form in FORMS:
        rendered = form.render(report, "en")
        assert all(name in rendered for name in apart) and "h3 [" not in rendered, form
        assert "localhost" not in rendered.replace("localhost [", ""), form


def test_keys_that_begin_alike_are_told_to_where_they_differ() -> None:
    hosts = [{"host": "a", "key": "00000000-1"}, {"host": "a", "key": "00000000-2"}, {"host": "b", "key": "00000000-3"}]
    assert list(called({"hosts": hosts}).values()) == ["a [00000000-1]", "a [00000000-2]", "b"]


def test_ways_in_are_kept_apart(report: Document) -> None:
    campaign = {**report["campaigns"][0], "entry": [{"en": "one, which is so", "zh": "甲、乙"}, {"en": "other", "zh": "丙"}]}
    document = {**report, "campaigns": [campaign]}
    assert "How it came in: one, which is so; other" in text.render(document, "en")
    assert "入侵方式：甲、乙；丙" in text.render(document, "zh")


def test_logins_from_outside_are_told_once_with_the_time_of_the_first(tmp_path: Path, names: Names) -> None:
    lines = [miner(f"h{n}", T + 500 + n, wallet="4wallet") for n in range(3)]
    for number, user, when in ((1, "root", T + 60), (0, "root", T), (0, "root", T + 5), (2, "deploy", T + 120), (1, "root", 0)):
        row = {"remote": "203.0.113.5", "username": user, "logged_in_at": str(when)}
        lines.append(line("logins", 0, T + 900, "snapshot", f"h{number}", **row))
    (campaign,) = reported(tmp_path, names, lines)["campaigns"]
    assert campaign["origins"] == [
        {"address": "203.0.113.5", "username": "root", "time": "2026-11-23T12:22:32Z", "hosts": 2},
        {"address": "203.0.113.5", "username": "deploy", "time": "2026-11-23T12:24:32Z", "hosts": 1},
    ]
    told = _flat(text.render(reported(tmp_path, names, lines), "en"))
    assert "outside: 2026-11-23 12:22:32 203.0.113.5 (root), hosts: 2 2026-11-23 12:24:32 203.0.113.5 (deploy), hosts: 1" in told


@pytest.mark.parametrize("form", FORMS)
def test_silence_is_told_only_where_somebody_is_silent(form: Any, tmp_path: Path, names: Names) -> None:
    lines = [line("kernel_modules", 0, T, "added", f"h{n}", module="ext4") for n in range(3)]
    rendered = form.render(reported(tmp_path, names, lines), "en")
    assert "nobody is silent: all hosts were heard in the 26 hours before 2026-11-23 " in rendered
    assert "not heard for" not in rendered
    rendered = form.render(reported(tmp_path, names, [*lines, line("users", 0, T + 5 * 86400, "added", "h0")]), "en")
    assert "silent: not heard for" in rendered and "nobody is silent" not in rendered


def test_kinds_of_rare_things_are_words_of_both_languages(names: Names) -> None:
    kinds = {STACKS[query].kind if query in STACKS else query for query in names.stacked()}
    for kind in kinds:
        assert rare_kind(kind, "zh") != kind and "_" not in rare_kind(kind, "en"), kind
    assert (rare_kind("containers", "en"), rare_kind("containers", "zh")) == ("container", "容器")
    assert rare_kind("ours", "zh") == "ours"


def test_each_form_names_the_kinds_of_rare_things(report: Document) -> None:
    things = [{**report["rare"][0]["things"][0], "kind": "containers", "example": "registry.example/shop"}]
    document = {**report, "rare": [{**report["rare"][0], "things": things}]}
    for form in FORMS:
        for language, kind in (("en", "container"), ("zh", "容器")):
            rendered = form.render(document, language)
            assert kind in rendered and "containers" not in rendered.partition("registry.example/shop")[0][-80:], form


_HTML = {
    "entry": 10, "shared": 12, "logins": 20, "outside": 20, "indicators": 20, "hosts": 200,
    "next": 40, "alike": 40, "incidents": 1000, "rare": 40, "silent": 200,
}  # fmt: skip
_MARKDOWN = {
    "entry": 5, "shared": 40, "logins": 40, "outside": 40, "indicators": 40, "hosts": 40,
    "next": 40, "alike": 40, "incidents": 400, "rare": 40,
}  # fmt: skip
_TEXT = {
    "entry": 3, "shared": 5, "logins": 20, "origins": 20, "indicators": 10, "hosts": 12,
    "next": 20, "alike": 20, "rare": 20, "silent": 40,
}  # fmt: skip


@pytest.mark.parametrize(("render", "room"), [(html.render, _HTML), (markdown.render, _MARKDOWN), (text.render, _TEXT)])
def test_what_has_no_room_in_a_report_is_counted(
    report: Document, render: Callable[[Document, str], str], room: dict[str, int]
) -> None:
    long = copy.deepcopy(report)
    campaign = next(one for one in long["campaigns"] if one["logins"])
    (login, *_others), named = campaign["logins"], {"address": "203.0.113.9", "username": "root", "time": None}
    campaign |= {"outside": [{**login, **named}], "origins": [{**named, "hosts": 1}], "entry": [campaign["sentence"]]}
    long |= {"campaigns": [campaign], "alike": [{"query": "q", "severity": "high", "things": [], "hosts": campaign["hosts"]}]}
    # Of each so many more than there is room for, that its number is like no other.
    for number, name in enumerate(room, 1):
        holder = campaign if name in campaign else long["coverage"] if name == "silent" else long
        assert holder[name], name
        holder[name] = (holder[name] * 3000)[: room[name] + 700 + number]
    long["next_left_out"] = long["rare_left_out"] = 0
    rendered = render(long, "en")
    told = {name: number for number, name in enumerate(room, 1) if not re.search(rf"\+{700 + number}\b", rendered)}
    assert not told
