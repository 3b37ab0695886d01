"""Installed packages, and what the package managers' own caches offer; no lock is taken and nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, Optional

from tables.host.disk.files import Files
from tables.host.disk.line_reader import LineReader
from tables.host.packages import rpm_database
from tables.host.packages.versions import compare_apk, compare_deb, compare_rpm

_DPKG_STATUS = "/var/lib/dpkg/status"
_APT_LISTS = "/var/lib/apt/lists"
_APK_DATABASES = ("/usr/lib/apk/db/installed", "/lib/apk/db/installed")
_APK_CACHES = ("/var/cache/apk", "/etc/apk/cache")
# dnf 4, dnf 5, yum: a folder for each repository, named NAME-HASH by dnf.
_DNF_CACHES = ("/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum")
_LIMIT = 512 * 1024 * 1024
_MAX_RELEASE = 128 * 1024

_LISTS = re.compile(r".+_Packages(?:\.(?:gz|xz|bz2|lz4|zst))?")
_STANZA = re.compile(rb"^(?:(Package|Version|Architecture|Status): ([^\n]+)|())$", re.MULTILINE)
_APK_LINE = re.compile(rb"^(?:([PVA]):([^\n]+)|())$", re.MULTILINE)
_RELEASE = re.compile(r"^(Origin|Label|Suite|Codename|NotAutomatic):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_SECURITY = re.compile(r"security\b", re.IGNORECASE)
_PRIMARY = re.compile(
    rb'<name>([^<]{1,256})</name>|<arch>([^<]{1,32})</arch>|<version epoch="(\d{0,10})" ver="([^"]{1,128})" rel="([^"]{1,128})"'
)
_UPDATE = re.compile(rb'<update\b[^>]{0,512}?\btype="(\w{1,32})"|<package\b([^>]{1,1024})>')
_ATTRIBUTE = re.compile(rb'(\w{1,16})="([^"]{0,256})"')
_NAME, _VERSION, _RELEASE_TAG, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022


class Installed(NamedTuple):
    """An installed package; `is_held` where the administrator keeps it at its version."""

    name: str
    arch: str
    version: str
    is_held: bool = False


class Offer(NamedTuple):
    """A version that a cache offers: from which repository, in which file, and when that was last changed (unix seconds)."""

    name: str
    arch: str
    version: str
    origin: str
    is_security: bool
    path: str
    mtime: int


class PackageSystem(NamedTuple):
    """One kind of package: its name, the installed ones by (name, architecture), its order of versions, its caches' files."""

    kind: str
    installed: Mapping[tuple[str, str], Installed]
    compare: Callable[[str, str], int]
    caches: tuple[str, ...]
    offers: Callable[[str], Iterator[Offer]]


def package_systems(files: Files) -> Iterator[PackageSystem]:
    """The package systems that this host has. Raises TableError or OSError when a database of theirs cannot be read."""
    for make in (_dpkg, _rpm, _apk):
        system = make(files)
        if system is not None and system.installed:
            yield system


def _by_key(found: Iterator[Installed], compare: Callable[[str, str], int]) -> dict[tuple[str, str], Installed]:
    """Packages by name and architecture; of several versions (kernels) the newest."""
    newest: dict[tuple[str, str], Installed] = {}
    for package in found:
        before = newest.get((package.name, package.arch))
        if before is None or compare(package.version, before.version) > 0:
            newest[package.name, package.arch] = package
    return newest


def _stanzas(files: Files, path: str, pattern: re.Pattern[bytes]) -> Iterator[dict[str, str]]:
    """The wanted fields of each stanza of a file in which empty lines part them; the last is complete without one."""
    stanza: dict[str, str] = {}
    reader = LineReader(files, path, _LIMIT)
    for block in reader.blocks():
        for match in pattern.finditer(block):
            if match[1]:
                stanza[match[1].decode()] = match[2].decode("utf-8", "backslashreplace").strip()
            elif stanza:
                yield stanza
                stanza = {}
    if stanza:
        yield stanza


def _dpkg(files: Files) -> Optional[PackageSystem]:
    if not files.exists(_DPKG_STATUS):
        return None
    found = (
        Installed(fields["Package"], fields["Architecture"], fields["Version"], fields["Status"].startswith("hold "))
        for fields in _stanzas(files, _DPKG_STATUS, _STANZA)
        if fields.get("Status", "").endswith(" installed") and {"Package", "Architecture", "Version"} <= fields.keys()
    )
    names = files.names(_APT_LISTS)
    caches = tuple(f"{_APT_LISTS}/{name}" for name in names if _LISTS.fullmatch(name))
    installed = _by_key(found, compare_deb)
    wanted = {name for name, _ in installed}
    return PackageSystem("deb", installed, compare_deb, caches, lambda path: _apt_offers(files, path, wanted, names))


def _apt_offers(files: Files, path: str, wanted: Collection[str], names: Collection[str]) -> Iterator[Offer]:
    release = _release(files, path, names)
    # apt takes nothing from such a suite (backports, experimental) unless told to.
    if release.get("NotAutomatic") == "yes":
        return
    suite = release.get("Codename") or release.get("Suite", "")
    origin = " ".join(filter(None, (release.get("Label") or release.get("Origin"), release.get("Suite") or suite)))
    is_security = any(_SECURITY.search(release.get(field, "")) for field in ("Label", "Suite", "Codename"))
    mtime = int(files.stat(path).st_mtime)
    for fields in _stanzas(files, path, _STANZA):
        name, version = fields.get("Package"), fields.get("Version")
        if name in wanted and name and version:
            yield Offer(name, fields.get("Architecture", ""), version, origin, is_security, path, mtime)


def _release(files: Files, path: str, names: Collection[str]) -> dict[str, str]:
    """The head of the (In)Release file that belongs to a list: the one whose name is the longest beginning of the list's."""
    base = path.rpartition("/")[2]
    fitting = [
        (len(name), name)
        for name in names
        for kind in ("InRelease", "Release")
        if name.endswith(f"_{kind}") and base.startswith(name[: -len(kind)])
    ]
    if not fitting:
        return {}
    text = files.head(f"{_APT_LISTS}/{max(fitting)[1]}", _MAX_RELEASE).decode("utf-8", "surrogateescape")
    fields: dict[str, str] = {}
    for name, value in _RELEASE.findall(text):
        fields.setdefault(name, value)
    return fields


def _rpm(files: Files) -> Optional[PackageSystem]:
    path = rpm_database.find(files)
    if path is None:
        return None
    caches = []
    for folder in _DNF_CACHES:
        for repository in files.paths(folder):
            listed = files.names(f"{repository}/repodata")
            caches += [f"{repository}/repodata/{name}" for name in listed if re.search(r"primary\.xml(?:\.\w+)?$", name)]
    installed = _by_key(_rpm_installed(files, path), compare_rpm)
    return PackageSystem("rpm", installed, compare_rpm, tuple(caches), lambda cache: _dnf_offers(files, cache, installed))


def _rpm_installed(files: Files, path: str) -> Iterator[Installed]:
    for blob in rpm_database.headers(files, path):
        header = rpm_database.parse_header(blob, {_NAME, _VERSION, _RELEASE_TAG, _EPOCH, _ARCH})
        name, version, release = (str(header.get(tag, [""])[0]) for tag in (_NAME, _VERSION, _RELEASE_TAG))
        # Keys are kept as packages without an architecture.
        if name and name != "gpg-pubkey":
            epoch = header.get(_EPOCH, [0])[0]
            yield Installed(name, str(header.get(_ARCH, [""])[0]), _evr(str(epoch), version, release))


def _evr(epoch: str, version: str, release: str) -> str:
    return f"{epoch}:{version}-{release}" if epoch not in ("", "0") else f"{version}-{release}"


def _dnf_offers(files: Files, path: str, installed: Mapping[tuple[str, str], Installed]) -> Iterator[Offer]:
    """What primary.xml lists (and which of it updateinfo.xml calls a security update); read as text, since XML can explode."""
    folder = path.rpartition("/")[0]
    names = {name for name, _ in installed}
    security = set()
    for other in files.paths(folder):
        if re.search(r"updateinfo\.xml(?:\.\w+)?$", other):
            security |= set(_security_updates(files, other, names))
    repository = re.sub(r"-[0-9a-f]{16}$", "", folder.rpartition("/")[0].rpartition("/")[2])
    mtime = int(files.stat(path).st_mtime)
    name = arch = ""
    for block in LineReader(files, path, _LIMIT).blocks():
        for match in _PRIMARY.finditer(block):
            if match[1]:
                name, arch = match[1].decode("utf-8", "backslashreplace"), ""
            elif match[2]:
                arch = match[2].decode("utf-8", "backslashreplace")
            elif (name, arch) in installed:
                version = _evr(*(match[group].decode("utf-8", "backslashreplace") for group in (3, 4, 5)))
                # Versions of module streams are for those who have chosen the stream.
                if ".module" in version and ".module" not in installed[name, arch].version:
                    continue
                yield Offer(name, arch, version, repository, (name, version) in security, path, mtime)


def _security_updates(files: Files, path: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Name and version of the packages in advisories of type `security`."""
    is_security = False
    for block in LineReader(files, path, _LIMIT).blocks():
        for match in _UPDATE.finditer(block):
            if match[1]:
                is_security = match[1] == b"security"
            elif is_security:
                found = {key.decode(): value.decode("utf-8", "backslashreplace") for key, value in _ATTRIBUTE.findall(match[2])}
                if found.get("name") in names:
                    yield found["name"], _evr(found.get("epoch", ""), found.get("version", ""), found.get("release", ""))


def _apk(files: Files) -> Optional[PackageSystem]:
    path = next((path for path in _APK_DATABASES if files.exists(path)), None)
    if path is None:
        return None
    found = (Installed(fields["P"], fields.get("A", ""), fields["V"]) for fields in _apk_stanzas(files, path))
    installed = _by_key(found, compare_apk)
    caches = tuple(
        cache for folder in _APK_CACHES for cache in files.paths(folder) if re.search(r"/APKINDEX\.[^/]*tar\.gz$", cache)
    )
    return PackageSystem("apk", installed, compare_apk, caches, lambda cache: _apk_offers(files, cache, installed))


def _apk_stanzas(files: Files, path: str) -> Iterator[dict[str, str]]:
    return (fields for fields in _stanzas(files, path, _APK_LINE) if {"P", "V"} <= fields.keys())


def _apk_offers(files: Files, path: str, installed: Mapping[tuple[str, str], Installed]) -> Iterator[Offer]:
    """An index is a text in a tar archive in gzip; its lines can be told from tar's headers, so tar is not unpacked."""
    mtime = int(files.stat(path).st_mtime)
    for fields in _apk_stanzas(files, path):
        arch = fields.get("A", "")
        if (fields["P"], arch) in installed:
            yield Offer(fields["P"], arch, fields["V"], path.rpartition("/")[2].split(".")[1], False, path, mtime)
