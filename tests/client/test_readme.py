"""The README's tour, as a stranger walks it: every command as written, every answer as shown."""

import os
import re
import subprocess

import pytest
from rook_runner import ROOK
from server import TOP
from terminal import Terminal
from test_deploy_run import Run, free_port

SHOWN = "http://127.0.0.1:8080"


def tour():
    """[(command, shown lines)] of the section's code blocks. A shell's lines belong to its command."""
    text = (TOP / "README.md").read_text()
    section = re.search(r"^## Five minutes\n(.*?)^## ", text, re.M | re.S).group(1)
    steps = []
    for block in re.findall(r"^```\n(.*?)^```", section, re.M | re.S):
        continued = False
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append([line[2:], []])
            elif continued:
                steps[-1][0] += "\n" + line
            else:
                steps[-1][1].append(line)
            # A command goes on behind a backslash, and inside its quotes.
            continued = not steps[-1][1] and (line.endswith("\\") or steps[-1][0].count("'") % 2 == 1)
    return steps


def matches(shown, got):
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, got) is not None


class Walker:
    def __init__(self, folder, url, token):
        self.url, self.token = url, token
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8",
                    "TOKEN": token}

    def run(self, command):
        done = subprocess.run(["bash", "-c", command.replace(SHOWN, self.url)], cwd=TOP, env=self.env,
                              input=self.token, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60)
        return done.stdout.replace(self.url, SHOWN).splitlines()

    def shell(self, command, shown):
        """At a terminal: types what stands behind the prompts."""
        words = command.split()
        assert words[0] == "build/rook" and ROOK.name == "rook", command
        prompt = shown[1][:shown[1].index("> ") + 2]
        terminal = Terminal(self, *words[1:], columns=200)
        got = terminal.expect(re.escape(prompt))
        for line in shown:
            if line.startswith(prompt):
                terminal.type(line.removeprefix(prompt) + "\r")
                got += prompt + terminal.expect(re.escape(prompt))
        terminal.key("d")
        assert terminal.wait() == 0
        return got.replace(self.url, SHOWN).replace("\r", "").splitlines()


@pytest.fixture
def walker(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    with Run(tmp_path, options=["--listen", address, "--data", "data"]) as run:
        token = re.search(r"psql_live_\w+", run.greeting()).group()
        yield Walker(tmp_path / "home", f"http://{address}", token)
        assert run.interrupt() == 0


def test_the_tour_shows_what_happens(walker):
    steps = tour()
    assert len(steps) >= 9 and sum(len(shown) for _, shown in steps) >= 25, steps
    for command, shown in steps:
        if command.startswith("export TOKEN="):
            continue
        is_shell = any("> " in line and line.split("> ")[0].startswith("demo/") for line in shown)
        got = walker.shell(command, shown) if is_shell else walker.run(command)
        assert len(got) == len(shown), f"$ {command}\n" + "\n".join(got)
        for wanted, line in zip(shown, got):
            assert matches(wanted, line), f"$ {command}\nshown: {wanted}\ngot:   {line}"
