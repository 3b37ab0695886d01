"""What PHP runs before and after every page, and the programs and libraries that its settings name (php.ini)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tables.host.startup.entries import NAME, SHELL, StartupEntry, StartupFiles
from tables.text.lines import unquoted

_FILES = ("/etc/php.ini", "/usr/local/etc/php/php.ini", "/usr/local/lib/php.ini")
_FOLDERS = ("/etc/php.d", "/etc/php-fpm.d", "/usr/local/etc/php/conf.d", "/usr/local/etc/php-fpm.d")
# Debian has /etc/php/VERSION/SAPI.
_VERSIONS = "/etc/php"
# Where web sites lie; each may have settings of its own.
_SITES = ("/var/www", "/srv/www", "/srv/http", "/usr/share/nginx")
_SITE_FILES = (".user.ini", ".htaccess")
_MAX_SITES = 500
_SETTING = re.compile(
    r"[ \t]*(?:php_(?:admin_)?value(?:\[|[ \t]+))?(auto_prepend_file|auto_append_file|sendmail_path|extension|zend_extension)\]?"
    r"(?:[ \t]*=[ \t]*|[ \t]+)([^\s=].*)",
    re.IGNORECASE,
)


class PhpSetting(NamedTuple):
    """A setting that names a file or a command; its name is in small letters."""

    line: int
    name: str
    value: str


def parse_php_settings(text: str) -> Iterator[PhpSetting]:
    """Yield the settings of php.ini, a pool of php-fpm or an .htaccess that start something; `none` and "" start nothing."""
    for number, line in enumerate(text.split("\n"), 1):
        match = _SETTING.match(line)
        if match is None:
            continue
        value = match[2].strip()
        value = value[1:].split(value[0])[0] if value[0] in "\"'" else value.partition(";")[0].strip()
        name = match[1].lower()
        is_named = name == "sendmail_path" or not name.endswith("extension") or "/" in value
        if value and value != "none" and is_named:
            yield PhpSetting(number, name, unquoted(value))


def php_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """Files that are run with every page, libraries named by path, and what sends mail; also in web sites' own settings."""
    folders = list(_FOLDERS)
    files = list(_FILES)
    for version in source.names(_VERSIONS):
        for sapi in source.names(f"{_VERSIONS}/{version}"):
            folders += [f"{_VERSIONS}/{version}/{sapi}/{inner}" for inner in ("conf.d", "pool.d")]
            files.append(f"{_VERSIONS}/{version}/{sapi}/php.ini")
    listed = [path for folder in folders for path in source.paths(folder) if path.endswith((".ini", ".conf"))]
    for file in source.read_each([*files, *listed, *_site_files(source)]):
        for setting in source.first(parse_php_settings(file.text), file):
            is_command = setting.name == "sendmail_path"
            yield StartupEntry(
                "php",
                "mail from a web page" if is_command else "web page",
                file,
                setting.line,
                setting.value,
                SHELL if is_command else NAME,
                program=None if is_command else setting.value,
            )


def _site_files(source: StartupFiles) -> Iterator[str]:
    """The paths of settings in the folders of web sites, two folders deep."""
    sites = [*_SITES, *(path for folder in _SITES for path in source.paths(folder))]
    sites += [path for site in sites[len(_SITES) : _MAX_SITES] for path in source.paths(site)]
    if len(sites) > _MAX_SITES:
        source.query.truncate(f"{sites[_MAX_SITES]}: only the first {_MAX_SITES} entries of web sites were looked at")
    for site in sites[:_MAX_SITES]:
        yield from (f"{site}/{name}" for name in _SITE_FILES)
