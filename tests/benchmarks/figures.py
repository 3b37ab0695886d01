"""The figures of a run in a file, and what changed from one run to another: `make bench-compare ARGS='OLD.json NEW.json'`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

# What machines of this kind give from one run to the next without any change.
_NOISE = 1.15


@dataclass(frozen=True)
class Figure:
    """One measured thing under the title of its table: best wall and CPU seconds, and wall as a multiple of a reference's."""

    title: str
    name: str
    seconds: float
    cpu_seconds: float
    reference: Optional[str] = None
    ratio: Optional[float] = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others of a run."""
        return self.title, self.name


@dataclass(frozen=True)
class Run:
    """The figures of one run, and the machine that it was made on."""

    machine: Mapping[str, Any]
    figures: Sequence[Figure]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        document = {"machine": dict(self.machine), "figures": [asdict(figure) for figure in self.figures]}
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read what `write` wrote; ValueError, with the file's name, for anything else."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(document["machine"], [Figure(**figure) for figure in document["figures"]])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: no figures of a run of make bench: {error}") from None


def changes(old: Run, new: Run) -> list[str]:
    """A line for each figure of either run: both values, and how they compare; the greatest change for the worse first.

    What has a reference in both is compared by its multiples of that, which the machine's load changes less.
    """
    before, after = ({figure.key: figure for figure in run.figures} for run in (old, new))
    found = sorted(((_factor(before[key], after[key]), key) for key in before.keys() & after.keys()), reverse=True)
    lines = []
    for factor, key in found:
        one, other = before[key], after[key]
        word = "slower" if factor > _NOISE else "faster" if factor * _NOISE < 1 else "as before"
        text = f"{factor:5.2f}  {word:9}  {' / '.join(key)}: {one.seconds:.4g} s -> {other.seconds:.4g} s"
        ratios = _ratios(one, other)
        if ratios:
            text += f" ({ratios[0]:.2f} -> {ratios[1]:.2f} x {other.reference})"
        lines.append(text)
    lines += [f"    -  {'gone':9}  {' / '.join(key)}" for key in sorted(before.keys() - after.keys())]
    lines += [f"    -  {'new':9}  {' / '.join(key)}: {after[key].seconds:.4g} s" for key in sorted(after.keys() - before.keys())]
    return lines


def _ratios(one: Figure, other: Figure) -> Optional[tuple[float, float]]:
    """Both as multiples of the same reference, which neither of them is."""
    if one.ratio and other.ratio and one.reference == other.reference != one.name:
        return one.ratio, other.ratio
    return None


def _factor(one: Figure, other: Figure) -> float:
    before, after = _ratios(one, other) or (one.seconds, other.seconds)
    return after / before if before else 1.0


def main() -> int:
    """Print what changed; 2 where a file is none of ours."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.figures", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    try:
        old, new = Run.read(arguments.old), Run.read(arguments.new)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for name in sorted(old.machine.keys() & new.machine.keys()):
        if old.machine[name] != new.machine[name]:
            print(f"{name}: {old.machine[name]} -> {new.machine[name]}")
    print("factor (1 is no change)", *changes(old, new), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
