"""Debian's packages of any suite, by an apt of our own whose state lies in the cache; the machine's stays as it is."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path

from tests.kernels.cache import CACHE, RigError, run

# Where this machine names no mirror of Debian itself, as on another distribution.
_MIRRORS = {"Debian": "http://deb.debian.org/debian", "Debian-Security": "http://deb.debian.org/debian-security"}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_INDEX_LIVES_SECONDS = 24 * 3600


@cache
def mirror(label: str = "Debian") -> str:
    """The address from which this machine's apt takes Debian (or "Debian-Security")."""
    for line in run("apt-get", "indextargets", "--format", "$(LABEL) $(SITE)").splitlines():
        name, _, site = line.partition(" ")
        if name == label and site.startswith("http"):
            return site
    return _MIRRORS[label]


@cache
class Suite:
    """One release of Debian with its security updates, such as `bookworm`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = CACHE / "apt" / name
        self.sources = self._folder / "sources.list"
        # What apt said of these lists: it takes a second for each question.
        self._asked = self._folder / "asked.json"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        self._update()

    def _update(self) -> None:
        """Fetch the lists where ours are older than a day; older ones serve when that fails."""
        fetched = self._folder / "fetched"
        if fetched.exists() and time.time() - fetched.stat().st_mtime < _INDEX_LIVES_SECONDS:
            return
        sign = f"[signed-by={_KEYRING}]"
        self.sources.write_text(
            f"deb {sign} {mirror()} {self.name} main\ndeb {sign} {mirror('Debian-Security')} {self.name}-security main\n"
        )
        try:
            self._apt("apt-get", "update", "-qq", "-o", "Acquire::Check-Valid-Until=false", "-o", "APT::Update::Error-Mode=any")
        except RigError as error:
            if not fetched.exists():
                raise
            print(f"{self.name}: the package lists of {time.ctime(fetched.stat().st_mtime)} serve: {error}")
        else:
            fetched.touch()
            self._asked.unlink(missing_ok=True)

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        settings = {
            "Dir::State": self._folder / "state",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": self._folder / "cache",
            "Dir::Etc::SourceList": self.sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return run(program, *options, *arguments, cwd=cwd)

    def lists(self) -> list[Path]:
        """The fetched package lists."""
        return [path for path in (self._folder / "state" / "lists").glob("*_dists_*") if path.is_file()]

    def _ask(self, *question: str) -> str:
        """apt-cache's answer to a question about the lists at hand."""
        known: dict[str, str] = json.loads(self._asked.read_text()) if self._asked.exists() else {}
        asked = " ".join(question)
        if asked not in known:
            known[asked] = self._apt("apt-cache", *question)
            self._asked.write_text(json.dumps(known))
        return known[asked]

    def field(self, package: str, field: str) -> str:
        """A field of the newest version of a package, such as Version. Raises RigError for a package that is not there."""
        shown = self._ask("show", "--no-all-versions", package)
        found = re.search(rf"^{field}: (.*)$", shown, re.MULTILINE)
        if found is None:
            raise RigError(f"{package} of {self.name} has no {field}")
        return found[1]

    def versions(self, *packages: str) -> str:
        """The newest version of each package, one a line."""
        shown = self._ask("show", "--no-all-versions", *packages)
        return "\n".join(line for line in shown.splitlines() if line.startswith(("Package: ", "Version: ")))

    def download(self, package: str) -> Path:
        """The .deb file of a package's newest version, downloaded once."""
        version = self.field(package, "Version")
        folder = CACHE / "debs"
        folder.mkdir(exist_ok=True)
        escaped = version.replace(":", "%3a")
        if not list(folder.glob(f"{package}_{escaped}_*.deb")):
            self._apt("apt-get", "download", "-qq", f"{package}={version}", cwd=folder)
        return next(folder.glob(f"{package}_{escaped}_*.deb"))

    def kernel(self, is_oldest: bool = False) -> str:
        """The package of the newest stock kernel, which linux-image-amd64 depends on, or of the oldest that is still there."""
        found = re.match(r"(linux-image-([0-9]+\.[0-9]+)\S+) ", self.field("linux-image-amd64", "Depends"))
        if found is None:
            raise RigError(f"linux-image-amd64 of {self.name} names no kernel")
        newest, series = found.groups()
        if not is_oldest:
            return newest
        stock = re.compile(rf"linux-image-{re.escape(series)}\.[0-9]+(-[0-9]+|\+deb[0-9.]+)-amd64")
        names = filter(stock.fullmatch, self._ask("pkgnames", f"linux-image-{series}").split())
        return min(names, key=lambda name: list(map(int, re.findall("[0-9]+", name))))
