"""What the report says in each of its forms: the same in all, the gravest first, hosts of one name told apart."""

from __future__ import annotations

from pathlib import Path

from extension.fleet.names import Names
from tests.fleet.looking import line, miner, reported

T = 1795436552


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
