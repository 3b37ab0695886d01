"""What packages bring along and package managers run: plug-ins of dnf and yum, maintainer scripts of dpkg."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.disk.files import Unreadable
from tables.host.packages.owners import DPKG_INFO
from tables.host.startup.entries import NAME, SCRIPT, StartupEntry, StartupFiles

_YUM_PLUGINS = ("/usr/lib/yum-plugins", "/usr/share/yum-plugins")
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_PYTHON = re.compile(r"python3?\.\d+")
_DNF_CONFIGS = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
_PLUGIN_PATH = re.compile(r"^[ \t]*pluginpath[ \t]*=[ \t]*(\S.*)", re.MULTILINE)

_DPKG_STATUS = "/var/lib/dpkg/status"
_STATUS_LIMIT = 64 << 20
_PACKAGE = re.compile(rb"^Package:[ \t]*(\S+)", re.MULTILINE)
# deb-postinst(5) and its like.
_SCRIPTS = (".preinst", ".postinst", ".prerm", ".postrm", ".config")
_SCRIPT_LIMIT = 256 * 1024
_MAX_SCRIPTS = 20_000
# Words without which no known package's script is worth parsing; most have none of them.
_WORTH_PARSING = re.compile(
    r"curl|wget|/dev/tcp|/dev/udp|base64|chattr|nohup|setsid|/tmp/|/shm/|mkfifo|socat|xmrig|python3? -c|perl -\w*e\b"
)


def is_worth_parsing(text: str) -> bool:
    """Whether a packaged script of package operations can be more than housekeeping."""
    return _WORTH_PARSING.search(text) is not None


def plugin_files(source: StartupFiles) -> list[str]:
    """The plug-ins of dnf and yum, packaged or not."""
    folders = list(_YUM_PLUGINS)
    for library in _LIBRARIES:
        folders += [f"{library}/{name}/site-packages/dnf-plugins" for name in source.names(library) if _PYTHON.fullmatch(name)]
    for config in source.read_each(_DNF_CONFIGS):
        for match in _PLUGIN_PATH.finditer(config.text):
            folders += [folder.rstrip("/") for folder in re.split(r"[\s,]+", match[1]) if folder.startswith("/")]
    return [path for folder in folders for path in source.paths(folder) if path.endswith(".py")]


def package_plugins(source: StartupFiles) -> Iterator[StartupEntry]:
    """The plug-ins of dnf and yum, which root's package operations load, that no package owns."""
    for file in source.read_each(source.unpackaged(plugin_files(source))):
        yield StartupEntry("package_hook", "package operation", file, 0, file.path, NAME, "root", program=file.path)


def maintainer_scripts(source: StartupFiles) -> Iterator[StartupEntry]:
    """The maintainer scripts of dpkg that may start something of their own, and all those of packages that it does not know."""
    names = [name for name in source.names(DPKG_INFO) if name.endswith(_SCRIPTS)]
    if not names:
        return
    try:
        known = set(_PACKAGE.findall(source.files.read(_DPKG_STATUS, _STATUS_LIMIT)))
    except Unreadable as error:
        source.query.could_not_see(str(error))
        return
    if len(names) > _MAX_SCRIPTS:
        source.query.truncate(f"{DPKG_INFO}: only the first {_MAX_SCRIPTS} scripts were looked at")
    for name in names[:_MAX_SCRIPTS]:
        source.query.check_time()
        path = f"{DPKG_INFO}/{name}"
        package = name.rpartition(".")[0].partition(":")[0].encode("utf-8", "surrogateescape")
        if package in known and not _is_worth_parsing(source, path):
            continue
        file = source.read(path)
        if file is not None:
            yield StartupEntry("package_hook", "package operation", file, 0, file.path, SCRIPT, "root")


def _is_worth_parsing(source: StartupFiles, path: str) -> bool:
    try:
        return is_worth_parsing(source.files.read_text(path, _SCRIPT_LIMIT))
    except Unreadable as error:
        source.query.could_not_see(str(error))
        return False
