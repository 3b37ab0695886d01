"""A rule's date changes with the rule and at no other time, and its number never."""

from __future__ import annotations

import dataclasses

import pytest

from build import docs
from build.deliver import BuildError
from build.siem import register, rules
from build.siem.register import Entry, load, renewed, text_of
from build.siem.rules import Rule, bare_rules, sigma_rule


@pytest.fixture(scope="module")
def bare() -> dict[str, Rule]:
    return bare_rules()


def test_every_rule_is_on_record_as_it_is(bare: dict[str, Rule]) -> None:
    entries = load()
    changed = [
        name for name, rule in bare.items() if name not in entries or entries[name].digest != Entry.digest_of(sigma_rule(rule))
    ]
    assert not changed, f"{register.REGISTER}: run make docs for {changed}"
    assert register.REGISTER.read_text(encoding="utf-8") == text_of(entries)


def test_numbers_differ_and_are_wazuhs_for_rules_of_ones_own() -> None:
    numbers = [number for entry in load().values() for number in (entry.number, entry.number + 1)]
    assert len(set(numbers)) == len(numbers)
    assert all(100510 <= number <= 120000 for number in numbers)


def test_a_new_rule_changes_no_others_number_or_date_and_none_is_given_twice(bare: dict[str, Rule]) -> None:
    known = load()
    shown = {name: sigma_rule(rule) for name, rule in bare.items()}
    new = renewed(known, {"a_first_one": {"title": "new"}, **shown})
    assert {name: new[name] for name in known} == known
    assert new["a_first_one"].number == max(entry.number for entry in known.values()) + 2
    gone = renewed(new, shown)
    assert "a_first_one" in gone
    assert renewed(gone, {"another": {"title": "x"}})["another"].number == new["a_first_one"].number + 2


def test_a_changed_rule_gets_a_date_and_keeps_its_number(bare: dict[str, Rule]) -> None:
    known = {"hidden_processes": Entry(100600, "2026-01-01", Entry.digest_of(sigma_rule(bare["hidden_processes"])))}
    same = dataclasses.replace(bare["hidden_processes"], modified="2030-01-01")
    assert renewed(known, {"hidden_processes": sigma_rule(same)}) == known
    changed = dataclasses.replace(same, columns=("pid",))
    (entry,) = renewed(known, {"hidden_processes": sigma_rule(changed)}).values()
    assert entry.number == 100600 and entry.modified > "2026-01-01"


def test_a_changed_rule_without_a_new_date_is_not_built_and_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = {**load(), "hidden_processes": Entry(1, "2026-01-01", "0" * 16)}
    monkeypatch.setattr(rules, "load", lambda: stale)
    with pytest.raises(BuildError, match=r"11_hidden_processes\.yaml:\d+: hidden_processes is new or was changed"):
        rules.all_rules()
    monkeypatch.setattr(docs, "load", lambda: stale)
    monkeypatch.setattr("sys.argv", ["docs", "--check"])
    assert docs.main() == 1
    assert "build/siem/register.yaml is out of date: run make docs" in capsys.readouterr().err
