"""`make release`: all deliverables of this commit, with their checksums and lists of contents, and its tag.

Nothing is pushed or uploaded: that is the maintainer's step, after a look at dist/.
"""

from __future__ import annotations

import re
import subprocess
import sys

from build import dist
from build.deliver import ROOT, BuildError
from extension import __version__
from extension.pack.model import PackError

TAG = f"v{__version__}"


def release() -> str:
    """Build dist/ and tag the commit; the tag's name. Raises BuildError for a tree that is not what a tag would name."""
    if _git("status", "--porcelain"):
        raise BuildError("the tree has changes that are not committed")
    if _git("tag", "--list", TAG):
        raise BuildError(f"{TAG} exists; raise __version__ in extension/__init__.py")
    notes = _notes()
    left_out = dist.build(ROOT / "dist")
    if left_out:
        raise BuildError(f"dist/ lacks the offline archives and minehunt-runtime: {left_out}")
    _git("tag", "--annotate", TAG, "--message", f"minehunt {__version__}\n\n{notes}")
    return TAG


def _notes() -> str:
    """What CHANGELOG.md says of this version, under a heading with its date."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)", changes, re.MULTILINE | re.DOTALL)
    if found is None:
        raise BuildError(f"CHANGELOG.md has no heading `## {__version__} (YEAR-MONTH-DAY)`")
    return found[1].strip()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    """0 when all is built and tagged; 1, with the reason, when nothing is."""
    try:
        print(release())
    except (BuildError, PackError, OSError) as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
