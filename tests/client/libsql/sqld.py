"""sqld as a Target, from bench's pinned package: one namespace, tokens signed with a key of its own."""

import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

from . import programs

BENCH = programs.TOP / "bench"
IDLE_MS = 10_000  # sqld's own, not to be set
START_S = 30


def binary():
    sys.path.insert(0, str(BENCH))
    from rig import install
    from rig.proc import Failed
    try:
        install.peers(True)
    except (Failed, OSError) as why:
        raise programs.Unavailable(f"sqld cannot be installed: {why}") from None
    return install.SQLD


class Sqld:
    """A context that yields a Target. `localhost` is sqld's namespace default, `127.0.0.1` is no namespace."""

    def __init__(self, folder, port, admin_port):
        self.folder, self.port, self.admin_port = pathlib.Path(folder), port, admin_port
        self.process = None

    def __enter__(self):
        made = subprocess.run(["node", "tokens.mjs"], cwd=programs.node(), capture_output=True, text=True, check=True)
        tokens = json.loads(made.stdout)
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.folder / "key.pem"
        key.write_text(tokens["key"])
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [binary(), "--db-path", str(self.folder / "data"), "--http-listen-addr", f"127.0.0.1:{self.port}",
                 "--admin-listen-addr", f"127.0.0.1:{self.admin_port}", "--auth-jwt-key-file", str(key),
                 "--enable-namespaces", "--no-welcome"], stdout=log, stderr=log)
        try:
            self._make_namespace()
        except BaseException:
            self.__exit__()
            raise
        return programs.Target(f"localhost:{self.port}", "/", tokens["token"], tokens["readToken"],
                               f"127.0.0.1:{self.port}", "/", idle_ms=IDLE_MS, renew=self.renew)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def renew(self):
        self._ask("DELETE", "")
        self._ask("POST", "/create")

    def _make_namespace(self):
        end = time.monotonic() + START_S
        while True:
            try:
                self._ask("POST", "/create")
                return
            except urllib.error.HTTPError as answer:
                if answer.code == 400:  # it exists
                    return
                raise
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise programs.Unavailable(f"sqld does not start; see {self.folder / 'log'}") from None
                time.sleep(0.05)

    def _ask(self, method, what):
        url = f"http://127.0.0.1:{self.admin_port}/v1/namespaces/default{what}"
        request = urllib.request.Request(url, b"{}" if method == "POST" else None,
                                         {"Content-Type": "application/json"}, method=method)
        urllib.request.urlopen(request, timeout=START_S).close()
