"""Each header compiles alone and twice, with what the build folder compiles its neighbours with."""

import json
import os
import pathlib
import shlex
import subprocess

import pytest
from server import BUILD
from tree import TOP, headers

KEEP = ("-I", "-D", "-std", "-isystem", "-pthread", "-U")


def compile_flags():
    """The flags that decide what a header means, from any C file of each folder."""
    try:
        commands = json.loads((BUILD / "compile_commands.json").read_text())
    except OSError:
        pytest.skip(f"no compile_commands.json in {BUILD}")
    flags = {}
    for row in commands:
        source = pathlib.Path(os.path.normpath(os.path.join(row["directory"], row["file"])))
        if not source.is_relative_to(TOP):
            continue
        words, kept = shlex.split(row["command"]), []
        for word, following in zip(words, [*words[1:], ""]):
            if word.startswith(KEEP):
                kept += [word, following] if word == "-isystem" else [word]
        flags.setdefault(source.relative_to(TOP).parts[0], {})[str(source)] = kept
    # The longest list of a folder knows every library its headers may name.
    return {folder: max(rows.values(), key=len) for folder, rows in flags.items()}


def test_headers_compile_alone_and_twice(tmp_path):
    flags = compile_flags()
    running, broken = [], []

    def finish(path, process):
        _, complaint = process.communicate()
        if process.returncode != 0:
            broken.append(f"{path}:\n{complaint.decode()}")

    for index, path in enumerate(headers()):
        source = tmp_path / f"{index}.c"
        source.write_text(f'#include "{path}"\n#include "{path}"\nextern int a_file_must_not_be_empty;\n')
        folder = path.split("/")[0]
        words = flags.get(folder) or flags["src"]
        command = ["cc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                   *words, f"-I{TOP}", str(source)]
        running.append((path, subprocess.Popen(command, cwd=BUILD, stderr=subprocess.PIPE)))
        if len(running) >= (os.cpu_count() or 1):
            finish(*running.pop(0))
    for row in running:
        finish(*row)
    assert not broken, "\n".join(broken)
