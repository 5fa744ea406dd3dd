"""The first command of the README, as a stranger types it: deploy/run, then the printed curl line."""

import os
import re
import select
import signal
import socket
import stat
import subprocess
import time

from server import START_TIMEOUT_S, STOP_TIMEOUT_S, TOP


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Run:
    """deploy/run with a data folder of the test's own, in another folder than the tree."""

    def __init__(self, folder, *words, options=()):
        self.folder, self.words, self.options = folder, words, options

    def __enter__(self):
        self.process = subprocess.Popen(
            [TOP / "deploy/run", "--no-install", *self.words, "--", *self.options], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.folder / "stderr", "ab"))
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def greeting(self):
        """What it prints once it runs; ends with an empty line after the curl line."""
        text, deadline = "", time.monotonic() + 300 + START_TIMEOUT_S
        while not re.search(r"curl .*\n(.*\n)*\n", text):
            ready = select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]
            piece = os.read(self.process.stdout.fileno(), 65536).decode() if ready else ""
            assert piece, f"no greeting: {text}\n{(self.folder / 'stderr').read_text()}"
            text += piece
        return text

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)


def curl_line(text):
    return re.search(r"^\s*(curl .*)$", text, re.M).group(1)


def test_first_start_greets_and_the_curl_line_works_as_pasted(tmp_path):
    options = ["--listen", f"127.0.0.1:{free_port()}", "--data", "somewhere"]
    with Run(tmp_path, options=options) as run:
        text = run.greeting()
        token = re.search(r"psql_live_\w+", text).group()
        answer = subprocess.run(["bash", "-c", curl_line(text)], capture_output=True, text=True, timeout=30)
        assert '"success":true' in answer.stdout and "jackdaw" in answer.stdout, answer
        assert stat.S_IMODE(os.stat(tmp_path / "somewhere").st_mode) == 0o700
        assert run.interrupt() == 0

    with Run(tmp_path, options=options) as run:
        text = run.greeting()
        assert "psql_live_" not in text, "the secret is shown once"
        answer = subprocess.run(["bash", "-c", curl_line(text)], capture_output=True, text=True, timeout=30,
                                env={**os.environ, "TOKEN": token})
        assert "jackdaw" in answer.stdout, answer
        made = subprocess.run(["bash", "-c", re.search(r"^\s*(\S*/rook .*)$", text, re.M).group(1)],
                              capture_output=True, text=True, timeout=30)
        assert made.returncode == 0 and made.stdout.startswith("psql_live_"), made
        assert run.interrupt() == 0
    said = (tmp_path / "stderr").read_text()
    assert token not in said and "rookery_op_" not in said, "no secret in the log"


def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with Run(tmp_path, options=["--listen", f"127.0.0.1:{port}", "--data", "d"]) as run:
            assert run.process.wait(60) == 1
    said = (tmp_path / "stderr").read_text().splitlines()
    assert len(said) == 1 and str(port) in said[0] and "in use" in said[0], said


def test_an_unwritable_data_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with Run(tmp_path, options=["--listen", f"127.0.0.1:{free_port()}", "--data", "file/data"]) as run:
        assert run.process.wait(300) == 1
    said = (tmp_path / "stderr").read_text().splitlines()
    assert len(said) == 1 and "file/data" in said[0], said


def test_build_only_starts_nothing(tmp_path):
    with Run(tmp_path, "--build-only") as run:
        assert run.process.wait(300) == 0
    assert os.access(TOP / "build/rookeryd", os.X_OK) and os.access(TOP / "build/rook", os.X_OK)


def test_an_unknown_option_is_refused(tmp_path):
    with Run(tmp_path, "--bulid-only") as run:
        assert run.process.wait(60) == 2
    assert "--bulid-only" in (tmp_path / "stderr").read_text()


def test_on_a_unix_socket_the_greeting_says_so(tmp_path):
    path = tmp_path / "s"
    with Run(tmp_path, options=["--listen", f"unix:{path}", "--data", "d"]) as run:
        text = run.greeting()
        assert f"running at unix:{path} " in text and "running at http" not in text, text
        answer = subprocess.run(["bash", "-c", curl_line(text)], capture_output=True, text=True, timeout=30)
        assert "jackdaw" in answer.stdout, answer
        assert run.interrupt() == 0
