"""Writes a known-good list for review: YAML grouped by SOP step, what needs a look first, and what is not safe to list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import yaml

from extension.baseline.seen import Entry, Seen
from extension.pack.model import Pack
from tables.indicators.known_good_list import CATEGORIES, glob_escape, pattern_problem

_HEAD = """\
# What is normal on this host, as minehunt found it: a draft. Read every entry, keep what you know, delete the rest.
# The pack's detections leave out what stands here. Install it as /etc/minehunt/known_good.yaml, owned by root.
#
# known_good:
#   scheduled_job:
#     - pattern: '/etc/cron.d/backup: root /opt/backup/run.sh'   # GLOB: * ? [abc]; [*] [?] [[] for the characters themselves
#       note: nightly backup, ops                                # optional
#       expires: 2027-06-30                                      # optional: the last day, UTC, on which it counts
#
# A package's name says that it brings the file, not that the file is unchanged.
"""
_WIDTH = 1 << 30


def render(pack: Pack, seen: Sequence[Seen], failures: Iterable[str]) -> str:
    """The list as YAML; the same for the same `seen`. Entries that a detection reports are there as comments only."""
    lines = [_HEAD.rstrip("\n")]
    captured = {one.source.category for one in seen}
    left = ", ".join(category for category in CATEGORIES if category not in captured)
    lines.append(_comment(f"Not captured, for they come and go: {left}. List those by hand.", 0))
    lines += [_comment(f"This detection could not run, so what it reports may stand below: {why}", 0) for why in failures]
    lines += ["", "known_good:"]
    for one in seen:
        lines += _category(pack, one)
    return "\n".join(lines) + "\n"


def included(seen: Seen) -> list[Entry]:
    """The entries that a list may hold: not reported by a detection, and their pattern a valid one."""
    return [entry for entry in seen.entries if not _why_not(seen, entry)]


def step_title(pack: Pack, seen: Seen) -> str:
    """The category with its SOP step, as a heading."""
    number = CATEGORIES[seen.source.category].step
    title = next((step.title.en for step in pack.steps if step.step == number), "")
    return f"Step {number}: {title}"


def _category(pack: Pack, seen: Seen) -> Iterator[str]:
    category = seen.source.category
    yield ""
    yield _comment(f"{step_title(pack, seen)}. {category}: {CATEGORIES[category].key}")
    if seen.problem:
        yield _comment(f"Left out, it could not be read: {seen.problem}")
        return
    for spot in seen.blind_spots:
        yield _comment(f"Not everything could be seen: {spot}")
    good = included(seen)
    bare = [entry for entry in good if entry.is_unpackaged]
    rest = [entry for entry in good if not entry.is_unpackaged]
    if good and seen.source.caution:
        yield _comment(seen.source.caution)
    yield f"  {category}:" if good else f"  #{category}:"
    if bare:
        yield _comment("No package owns these files: read these first.", 4)
    for entry in bare:
        yield from _item(entry)
    if bare and rest:
        yield _comment("From packages:", 4)
    for entry in rest:
        yield from _item(entry)
    for entry in seen.entries:
        why = _why_not(seen, entry)
        if not why:
            continue
        yield _comment(f"Not included; review: {why}", 4)
        yield from (f"    #{line[4:]}" for line in _item(entry))


def _why_not(seen: Seen, entry: Entry) -> str:
    if entry.reported_by:
        return f"reported by a detection: {', '.join(entry.reported_by)}"
    return pattern_problem(seen.source.category, glob_escape(entry.key)) or ""


def _item(entry: Entry) -> Iterator[str]:
    if entry.package:
        yield _comment(f"package {entry.package}", 4)
    yield f"    - pattern: {_scalar(glob_escape(entry.key))}"
    yield f"      note: {_scalar('captured' + (': ' + entry.context if entry.context else ''))}"


def _scalar(text: str) -> str:
    """`text` as a YAML scalar on one line, quoted, and escaped where it must be."""
    return yaml.safe_dump(text, default_style="'", allow_unicode=True, width=_WIDTH).rstrip("\n")


def _comment(text: str, indent: int = 2) -> str:
    return " " * indent + "# " + "".join(character if character.isprintable() else "?" for character in text)
