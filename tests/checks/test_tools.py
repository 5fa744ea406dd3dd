"""Format of the C files, and the shell scripts as shellcheck reads them."""

import os
import shutil
import subprocess

import pytest
from tree import TOP, c_files


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def scripts():
    """Files under deploy, tests, bench and .ci that begin with a shell's #! line, or end in .sh."""
    found = []
    for folder in ("deploy", "tests", "bench", ".ci"):
        for place, folders, files in os.walk(TOP / folder):
            folders[:] = [name for name in folders if name not in ("peers", "results", "node_modules")]
            for name in files:
                path = os.path.join(place, name)
                with open(path, "rb") as file:
                    line = file.readline()
                if name.endswith(".sh") or line.startswith(b"#!") and line.rstrip().endswith(b"sh"):
                    found.append(os.path.relpath(path, TOP))
    return sorted(found)


def test_c_files_are_formatted():
    """`clang-format-14 -i $(git ls-files '*.[ch]')` mends it."""
    run = subprocess.run([tool("clang-format-14"), "--dry-run", "-Werror", *c_files()], cwd=TOP,
                         capture_output=True, text=True)
    first = [line for line in run.stderr.splitlines() if "error:" in line]
    assert run.returncode == 0, "\n".join(first[:40]) or run.stderr


def test_scripts_pass_shellcheck():
    names = scripts()
    assert "deploy/run" in names and "tests/run" in names
    run = subprocess.run([tool("shellcheck"), "-x", "-S", "info", *names], cwd=TOP, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", ["deploy/run", "deploy/fetch-sqlite", "tests/run"])
def test_command_can_be_run(name):
    assert os.access(TOP / name, os.X_OK)
