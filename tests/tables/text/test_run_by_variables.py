from __future__ import annotations

import pytest

from tables.text.run_by_variables import names_code, run_by_variable


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BASH_ENV", "/etc/x", [". /etc/x"]),
        ("ENV", "$HOME/.shrc", [". $HOME/.shrc"]),
        ("ENV", "production", []),
        ("BASH_ENV", "$(id)", [': "$(id)"']),
        (
            "NODE_OPTIONS",
            "--max-old-space-size=512 --require /a/b.js -r ./c.js -r dotenv",
            ["node /a/b.js", "node ./c.js"],
        ),
        ("NODE_OPTIONS", "--require=/a/b", ["node /a/b", "node /a/b.js"]),
        ("NODE_OPTIONS", "--import data:text/javascript;base64,MSsx", ["node -e 1+1"]),
        ("NODE_OPTIONS", "--import=file:///a/b.mjs", ["node /a/b.mjs"]),
        ("PYTHONPATH", "/a:b:/c/", ["/a/*", "python3 /a/sitecustomize.py", "python3 /a/usercustomize.py"]),
        ("PYTHONSTARTUP", "~/a b.py", ["python3 ~/'a b.py'"]),
        ("JAVA_TOOL_OPTIONS", "-Xmx1g -javaagent:/a.jar=x=y -agentpath:/l.so -agentlib:jdwp", ["java -jar /a.jar", "/l.so"]),
        ("CATALINA_OPTS", '-XX:OnError="gcore %p"', ["gcore %p"]),
        ("KAFKA_JVM_OPTS", "-javaagent:/a.jar", ["java -jar /a.jar"]),
        ("PERL5OPT", "-I/a -MB::C=d -w", ["/a/*", "perl /a/B/C.pm"]),
        ("RUBYOPT", "-W0 -r/a -rb", ["ruby /a", "ruby /a.rb"]),
        ("LUA_INIT", "@/a.lua", ["lua /a.lua"]),
        ("LUA_INIT", "x()", ["lua -e 'x()'"]),
        ("LESSOPEN", "||- /a %s", ["/a %s"]),
        ("PROMPT_COMMAND", "history -a", ["history -a"]),
        ("PS1", "\\u $(a) ", [': "\\u $(a)"']),
        ("PS1", "\\u ", []),
        ("PATH", "/a", []),
        ("NODE_ENV", "production", []),
    ],
)
def test_what_a_variable_has_run(name: str, value: str, expected: list[str]) -> None:
    found = list(run_by_variable(name, value))
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


def test_a_module_is_looked_for_in_the_folders_that_other_variables_name() -> None:
    assert list(run_by_variable("PERL5OPT", "-Ma", {"PERL5LIB": "/x:/y"})) == ["perl /x/a.pm", "perl /y/a.pm"]
    assert "ruby /x/a.rb" in run_by_variable("RUBYOPT", "-ra", {"RUBYLIB": "/x"})


def test_which_variables_have_code_run() -> None:
    assert [name for name in ("BASH_ENV", "JAVA_OPTS", "ES_JAVA_OPTS", "java_opts", "OPTS", "HOME") if names_code(name)] == [
        "BASH_ENV",
        "JAVA_OPTS",
        "ES_JAVA_OPTS",
    ]
