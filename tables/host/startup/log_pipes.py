"""Programs that log daemons and web servers start to hand them messages: rsyslog, syslog-ng, Apache."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tables.host.startup.entries import NAME, StartupEntry, StartupFiles
from tables.text.lines import logical_lines, numbered_matches, unquoted

_SYSLOG = ("/etc/rsyslog.conf",)
_SYSLOG_FOLDERS = ("/etc/rsyslog.d", "/usr/etc/rsyslog.d")
_SYSLOG_NG = ("/etc/syslog-ng/syslog-ng.conf",)
_SYSLOG_NG_FOLDERS = ("/etc/syslog-ng/conf.d",)
_COMMENT_LINE = re.compile(r"^[ \t]*#.*", re.MULTILINE)
# rsyslog's omprog, improg and mmexternal; the old form of omprog; the action `^program;template`. Its `|` is a named pipe.
_RSYSLOG_PROGRAM = re.compile(
    r"\bbinary[ \t]*=[ \t]*\"((?:\\.|[^\"\\])*)\"|^[ \t]*\$ActionOMProgBinary[ \t]+(\S.*)|[ \t&]\^(/[^\s;]+)",
    re.IGNORECASE | re.MULTILINE,
)
_SYSLOG_NG_PROGRAM = re.compile(r"\bprogram\([ \t\r\n]*\"((?:\\.|[^\"\\])*)\"")

_APACHE = ("/etc/apache2/apache2.conf", "/etc/apache2/httpd.conf", "/etc/httpd/conf/httpd.conf")
_APACHE_FOLDERS = (
    "/etc/apache2/conf-enabled",
    "/etc/apache2/mods-enabled",
    "/etc/apache2/sites-enabled",
    "/etc/apache2/conf.d",
    "/etc/apache2/vhosts.d",
    "/etc/httpd/conf.d",
    "/etc/httpd/conf.modules.d",
)
_APACHE_LOG = re.compile(r"[ \t]*(?:CustomLog|TransferLog|ErrorLog|GlobalLog|ForensicLog)[ \t]+(\"?)\|[|$]?(.*)", re.IGNORECASE)
_APACHE_PROGRAM = re.compile(
    r"[ \t]*RewriteMap[ \t]+\S+[ \t]+\"?prg:([^\"]+)|[ \t]*ExtFilterDefine[ \t].*\bcmd=\"([^\"]+)", re.IGNORECASE
)
_APACHE_LIBRARY = re.compile(r"[ \t]*(?:LoadModule[ \t]+\S+|LoadFile)[ \t]+\"?(/[^\s\"]+)", re.IGNORECASE)
# Where the distributions keep Apache's modules, or link to them.
_APACHE_MODULES = ("/usr/lib/apache2/", "/usr/lib64/apache2", "/usr/lib64/httpd/", "/etc/httpd/modules/")


def parse_rsyslog(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command line) of the programs that rsyslog's configuration starts. Linear in the text."""
    yield from _found(_RSYSLOG_PROGRAM, text)


def parse_syslog_ng(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command line) of syslog-ng's program() sources and destinations. Linear in the text."""
    yield from _found(_SYSLOG_NG_PROGRAM, text)


def parse_apache(text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, command line or library, whether it is a library) of what Apache's directives start or load."""
    for number, line in logical_lines(text):
        log = _APACHE_LOG.match(line)
        if log:
            command = log[2].replace('\\"', "\0").split('"')[0].replace("\0", '"') if log[1] else log[2].split(" ")[0]
            if command.strip():
                yield number, command.strip(), False
            continue
        program = _APACHE_PROGRAM.match(line)
        if program:
            yield number, (program[1] or program[2]).strip(), False
        library = _APACHE_LIBRARY.match(line)
        if library and not library[1].startswith(_APACHE_MODULES):
            yield number, library[1], True


def syslog_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """The programs of rsyslog and syslog-ng."""
    for parser, files, folders in (
        (parse_rsyslog, _SYSLOG, _SYSLOG_FOLDERS),
        (parse_syslog_ng, _SYSLOG_NG, _SYSLOG_NG_FOLDERS),
    ):
        listed = [path for folder in folders for path in source.paths(folder) if path.endswith(".conf")]
        for file in source.read_each([*files, *listed]):
            for number, command in parser(file.text):
                yield StartupEntry("log_pipe", "log message", file, number, command, run_as="root")


def apache_programs(source: StartupFiles) -> Iterator[StartupEntry]:
    """Apache's piped logs, rewriting programs, filters, and libraries from elsewhere than its own folders."""
    listed = [path for folder in _APACHE_FOLDERS for path in source.paths(folder) if path.endswith((".conf", ".load"))]
    for file in source.read_each([*_APACHE, *listed]):
        for number, command, is_library in parse_apache(file.text):
            entry = StartupEntry("log_pipe", "web server start", file, number, command, run_as="root")
            yield entry._replace(kind=NAME, program=command) if is_library else entry


def _found(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    # Comments become empty lines, so that the lines keep their numbers.
    text = _COMMENT_LINE.sub("", text)
    for line, match in numbered_matches(pattern, text):
        command = unquoted(next(group for group in match.groups() if group is not None).strip()).replace('\\"', '"')
        if command:
            yield line, command
