"""`make host`: a whole Debian 12 with minehunt's .deb, used as hosts are; after each use a triage, and tables beside tools."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.kernels.cache import RigError
from tests.kernels.checkout import packed
from tests.kernels.guest import Finished, Guest
from tests.kernels.host_image import host_image, minehunt_package
from tests.kernels.untouched import SLOW, triage

SCENARIOS = Path(__file__).with_name("scenarios.yaml")
_PACKAGE = ".cache/minehunt.deb"


def scenarios() -> list[dict[str, str]]:
    """What is done on the host: a name, and a piece of shell under `does`."""
    return list(yaml.safe_load(SCENARIOS.read_text()))


def check(wanted: Sequence[str]) -> bool:
    """Go through the scenarios whose names contain one of `wanted` (none: all), print what came of each; whether all is well."""
    is_well = True
    with Guest(host_image()) as guest:
        _install(guest)
        for scenario in scenarios():
            name = scenario["name"]
            if wanted and not any(word in name for word in wanted):
                continue
            started = time.monotonic()
            print(f"\nhost, {name}:", flush=True)
            _do(guest, scenario.get("does", "true"))
            findings = triage(guest)
            print(findings.text("  "), flush=True)
            differences = _differences(guest)
            for line in differences:
                print(f"  DIFFERS {line}")
            print(f"  {time.monotonic() - started:.0f} s", flush=True)
            is_well &= findings.is_clean and not differences
    return is_well


def _install(guest: Guest) -> None:
    """Put the checkout and its .deb into the guest, and see that the installed extension starts."""
    _succeed(guest.run(["true"], packed(more={_PACKAGE: minehunt_package()})))
    _succeed(guest.run(["dpkg", "--install", _PACKAGE]))
    _succeed(guest.run(["rm", "-r", ".cache"]))
    _succeed(guest.run(["/usr/bin/minehunt", "--help"]))


def _do(guest: Guest, script: str) -> None:
    done = _succeed(guest.run(["bash", "-euc", script]))
    for line in done.output.splitlines():
        print(f"  | {line}")


def _differences(guest: Guest) -> list[str]:
    done = _succeed(guest.run(["python3", "-m", "tests.kernels.comparisons"], environment=SLOW))
    answer = json.loads(done.output)
    print(f"  compared with the host's own tools: {answer['pairs']} pairs, {len(answer['differences'])} differ")
    return [json.dumps(each, ensure_ascii=False) for each in answer["differences"]]


def _succeed(done: Finished) -> Finished:
    if done.status:
        raise RigError(f"exit {done.status} in the guest: {(done.output + done.errors)[-3000:]}")
    return done
