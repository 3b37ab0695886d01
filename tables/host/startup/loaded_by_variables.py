"""What the dynamic loader's files, and variables of the whole system, of services and of accounts, have programs load or run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tables.host.loader.preloads import FOLDER_VARIABLE, LIBRARY_VARIABLES, parse_ld_so_preload
from tables.host.startup.entries import NAME, StartupEntry, StartupFiles
from tables.host.startup.environment_settings import (
    CodeSetting,
    EnvironmentSettings,
    LoaderSetting,
    code_settings,
    parse_login_environment,
)

# Of each account: environment.d(5), pam_env(8).
_HOME_FILES = (".pam_environment",)
_HOME_FOLDERS = (".config/environment.d",)
_MECHANISM = "environment"


def loaded_by_variables(source: StartupFiles) -> Iterator[StartupEntry]:
    """The libraries and the code that ld.so.preload, units, environment files and profiles put into programs."""
    file = source.read("/etc/ld.so.preload")
    if file is not None:
        for line, library in parse_ld_so_preload(file.text):
            yield StartupEntry("preload", "any program", file, line, library, NAME, program=library)
    for setting in EnvironmentSettings(source.files, source.query):
        if isinstance(setting, CodeSetting):
            yield _entry(setting, setting.mechanism == "unit" or setting.location.startswith("/etc/default/"))
        elif isinstance(setting, LoaderSetting) and setting.variable != FOLDER_VARIABLE:
            trigger = "service start" if setting.mechanism == "unit" else "login"
            for library in setting.values:
                yield StartupEntry("preload", trigger, setting.file, setting.line, library, NAME, program=library)
    yield from _of_homes(source)


def _of_homes(source: StartupFiles) -> Iterator[StartupEntry]:
    for account, _, file in source.below_homes(_HOME_FILES, _HOME_FOLDERS):
        variables = parse_login_environment(file.path, file.text)
        for one in source.first(code_settings(file._replace(text=""), _MECHANISM, file.path, variables), file):
            yield _entry(one, False)._replace(run_as=account.name, home=account.home)
        for variable in variables:
            if variable.name in LIBRARY_VARIABLES and variable.value:
                text = f"{variable.name}={shlex.quote(variable.value)}"
                yield StartupEntry(
                    _MECHANISM, "login", file._replace(text=""), variable.line, text, run_as=account.name, home=account.home
                )


def _entry(setting: CodeSetting, is_service: bool) -> StartupEntry:
    trigger = f"{setting.variable} of {'services' if is_service else 'logins'}"
    return StartupEntry(_MECHANISM, trigger, setting.file, setting.line, setting.code)
