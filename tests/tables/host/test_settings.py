"""Configuration is found where it was named, and nothing that others may write steers minehunt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tables.errors import TableError
from tables.host.settings import (
    BUDGET_FACTOR_VARIABLE,
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    INDICATORS_VARIABLE,
    KNOWN_GOOD_VARIABLE,
    Settings,
)


def test_the_command_line_comes_before_the_environment(tmp_path: Path) -> None:
    environ = {CONFIG_VARIABLE: "/env.yaml", INDICATORS_VARIABLE: "/a:/b", KNOWN_GOOD_VARIABLE: "/k"}
    assert Settings.from_environment(environ=environ) == Settings("/env.yaml", ("/a", "/b"), "/k")
    assert Settings.from_environment("/c.yaml", ["/d"], environ, "/l") == Settings("/c.yaml", ("/d",), "/l")
    assert Settings.from_environment(environ={}) == Settings(DEFAULT_CONFIG, ())


def test_settings_survive_the_way_to_an_extension_process() -> None:
    settings = Settings("/etc/other.yaml", ("/a", "/b"), "/known_good.yaml")
    assert Settings.from_environment(environ=settings.to_environment()) == settings


def test_lists_come_from_the_config_from_beside_it_and_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "minehunt.yaml").write_text("indicators: [ours.txt, /abs.txt]\n")
    (tmp_path / "indicators.d").mkdir()
    for name in ("20-b.txt", "10-a.txt", ".hidden"):
        (tmp_path / "indicators.d" / name).touch()
    found = Settings(str(tmp_path / "minehunt.yaml"), ("/x",)).indicator_files()
    beside = tmp_path / "indicators.d"
    assert found == [str(tmp_path / "ours.txt"), "/abs.txt", str(beside / "10-a.txt"), str(beside / "20-b.txt"), "/x"]


def test_the_known_good_list_is_the_command_lines_the_configs_or_the_one_beside_it(tmp_path: Path) -> None:
    config = tmp_path / "minehunt.yaml"
    config.write_text("{}")
    assert Settings(str(config)).known_good_files() == []
    (tmp_path / "known_good.yaml").touch()
    (tmp_path / "known_good.d").mkdir()
    for name in ("20-b.yaml", "10-a.yaml", "10-a.yaml~", ".hidden.yaml"):
        (tmp_path / "known_good.d" / name).touch()
    beside = [str(tmp_path / "known_good.d" / name) for name in ("10-a.yaml", "20-b.yaml")]
    assert Settings(str(config)).known_good_files() == [str(tmp_path / "known_good.yaml"), *beside]
    config.write_text("known_good: site.yaml\n")
    assert Settings(str(config)).known_good_files() == [str(tmp_path / "site.yaml")]
    assert Settings(str(config), known_good="/x/other.yaml").known_good_files() == ["/x/other.yaml"]


@pytest.mark.parametrize("text", ["known_good: [1]", "known_good: 7"])
def test_a_known_good_that_is_no_file_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "minehunt.yaml").write_text(text)
    with pytest.raises(TableError, match=r"minehunt\.yaml: known_good"):
        Settings(str(tmp_path / "minehunt.yaml")).known_good_files()


@pytest.mark.parametrize(
    "text", ["[1, 2]", "surprise: 1", "indicators: 5", "indicators: [1]", "a: [", "!!python/object:os.system {}"]
)
def test_a_config_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    config = tmp_path / "minehunt.yaml"
    config.write_text(text)
    with pytest.raises(TableError, match=r"minehunt\.yaml"):
        Settings(str(config)).indicator_files()


def test_a_config_that_was_asked_for_must_be_there_and_be_trusted(tmp_path: Path) -> None:
    config = tmp_path / "minehunt.yaml"
    with pytest.raises(TableError, match=r"minehunt\.yaml"):
        Settings(str(config)).indicator_files()
    config.write_text("{}")
    config.chmod(0o666)
    with pytest.raises(TableError, match="writable by others"):
        Settings(str(config)).indicator_files()


def test_one_variable_stretches_every_budget() -> None:
    assert Settings.from_environment(environ={}).budget_factor == 1
    settings = Settings.from_environment(environ={BUDGET_FACTOR_VARIABLE: "2.5"})
    assert settings.budget_factor == 2.5
    assert settings.to_environment()[BUDGET_FACTOR_VARIABLE] == "2.5"


@pytest.mark.parametrize("text", ["0", "0.5", "-1", "many", "nan", "inf", "1e9"])
def test_a_stretch_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(TableError, match=f"{BUDGET_FACTOR_VARIABLE}: '{text}'"):
        Settings.from_environment(environ={BUDGET_FACTOR_VARIABLE: text})


def test_only_a_triage_takes_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, processes in ((1, 1), (2, 2), (64, 8)):
        monkeypatch.setattr("tables.host.settings.os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert Settings(is_triage=True).side_by_side == processes
        assert Settings().side_by_side == 1
    for settings in (Settings(), Settings(is_triage=True), Settings(is_triage=True, is_quick=True)):
        assert Settings.from_environment(environ=settings.to_environment()) == settings
