"""The lines that README and `.connect` show for each of libSQL's clients: the same in both, and they run."""

import os
import re
import subprocess

import pytest
from libsql import programs
from rook_runner import ROOK
from server import TOP

SHOWN = "127.0.0.1:8080/demo/hello/"
ANSWER = "42"
GO = """package main

import (
	"database/sql"
	"fmt"
	"os"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

func main() {
%s}
"""


def snippets():
    """{title: lines} of the README's section."""
    section = re.search(r"^## Clients\n(.*?)^## ", (TOP / "README.md").read_text(), re.M | re.S).group(1)
    return dict(re.findall(r"^([A-Z][^\n]*):\n```\w+\n(.*?)^```$", section, re.M | re.S))


@pytest.fixture
def listed(server, database, tmp_path):
    """{name: title} as .connect lists them, and a function that prints one."""
    token = tmp_path / "token"
    token.write_text(database.api.token)
    token.chmod(0o600)

    def connect(*words):
        done = subprocess.run(
            [ROOK, "db", "shell", f"{database.tenant}/{database.slug}", "--url", f"http://{server.address}",
             "--token-file", token], input=" ".join([".connect", *words]) + "\n", capture_output=True, text=True,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return dict(re.findall(r"^\.connect (\w+) +(.*)$", connect(), re.M)), connect


def prepare(name, text):
    """The folder and command that run the lines."""
    if name in ("js", "drizzle", "prisma"):
        folder = programs.prisma() if name == "prisma" else programs.node()
        if name == "prisma":
            subprocess.run(["node", "node_modules/prisma/build/index.js", "generate"], cwd=folder, check=True,
                           capture_output=True, timeout=120,
                           env={**os.environ, "LIBSQL_URL": "http://unused", "CHECKPOINT_DISABLE": "1"})
        (folder / f"shown-{name}.mjs").write_text(text + "process.exit(0);\n")
        return folder, ["node", f"shown-{name}.mjs"]
    if name == "go":
        folder = programs.go() / "shown"
        folder.mkdir(exist_ok=True)
        (folder / "main.go").write_text(GO % text)
        return folder.parent, ["go", "run", "./shown"]
    return programs.python(), [programs.PYTHON, "-c", text]


def test_the_readme_shows_what_the_shell_prints(listed, server, database):
    titles, connect = listed
    shown = snippets()
    assert list(shown) == list(titles.values()) and len(shown) == 6
    for name, title in titles.items():
        here = f"{server.address}/{database.tenant}/{database.slug}/"
        assert connect(name).replace(here, SHOWN) == shown[title], name
        assert len(shown[title].splitlines()) <= 5


@pytest.mark.parametrize("name", ["js", "drizzle", "prisma", "python", "libsql", "go"])
def test_the_lines_run(listed, database, name):
    _, connect = listed
    try:
        folder, command = prepare(name, connect(name))
    except programs.Unavailable as why:
        pytest.skip(str(why))
    env = {**os.environ, "TOKEN": database.api.token, "PYTHONPATH": str(programs.CACHE / "python" / "packages")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.split()[:1] == [ANSWER], done.stdout + done.stderr
