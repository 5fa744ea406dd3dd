"""The clients' programs: their packages, pinned, are installed under .cache/clients, and they run.

A program prints a plan `1..N` and a line per check: `ok NAME`, `skip NAME: WHY`, `not ok NAME: WHY`. It
is told by its environment what it talks to; see Target.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[2]
CACHE = TOP / ".cache" / "clients"
PYTHON = "/usr/bin/python3"
TIMEOUT_S = 300


class Unavailable(Exception):
    """The program cannot run here; the text says what is missing."""


@dataclass
class Target:
    """A database as one server serves it."""

    address: str  # host:port
    path: str  # of the database in the URL, with both slashes
    token: str
    read_token: str
    wrong_address: str  # the same for a database that does not exist
    wrong_path: str
    idle_ms: int = 0  # how long a transaction may idle; 0: the check for it is left out
    patience_s: int = 60
    renew: object = None  # () -> None: empties the database before each program

    def environment(self, scheme):
        rows = {"LIBSQL_URL": f"{scheme}://{self.address}{self.path}", "LIBSQL_TOKEN": self.token,
                "LIBSQL_READ_TOKEN": self.read_token, "LIBSQL_IDLE_MS": str(self.idle_ms),
                "LIBSQL_WRONG_URL": f"{scheme}://{self.wrong_address}{self.wrong_path}",
                "LIBSQL_PATIENCE_S": str(self.patience_s)}
        return {**os.environ, **rows, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Program:
    """One client in one form: how it is installed, its command, and how it reaches the server."""

    name: str
    scheme: str
    install: object  # () -> the folder to run in
    command: tuple
    extra: tuple = ()  # more of the environment, as pairs

    def run(self, target, *words, scheme=None):
        """Runs it (the checks whose names have one of the words). Returns Results."""
        folder = self.install()
        if target.renew is not None:
            target.renew()
        env = {**target.environment(scheme or self.scheme), **dict(self.extra)}
        try:
            done = subprocess.run([*self.command, *words], cwd=folder, env=env, capture_output=True,
                                  text=True, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{self.name} did not end: {late.stdout}") from None
        return Results(self.name, done)


class Results:
    """What a program said: {check: "ok" | "skip: WHY" | "not ok: WHY"}."""

    def __init__(self, name, done):
        self.name, self.text = name, done.stdout + done.stderr
        self.checks = {}
        for what, check, why in re.findall(r"^(ok|skip|not ok) (.+?)(?:: (.*(?:\n .*)*))?$", done.stdout, re.M):
            assert check not in self.checks, f"two checks have the name {check!r}"
            self.checks[check] = f"{what}: {why}" if why else what
        plan = re.match(r"1\.\.(\d+)\n", done.stdout)
        assert plan and int(plan.group(1)) == len(self.checks) > 0, f"{name} did not end as planned:\n{self.text}"
        assert (done.returncode != 0) == bool(self.failed()), f"{name}: status {done.returncode}\n{self.text}"

    def failed(self):
        return {check: result for check, result in self.checks.items() if result.startswith("not ok")}


# -- packages

@contextlib.contextmanager
def _locked(name):
    """The folder of the cache, for one process at a time."""
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _need(command, package):
    if shutil.which(command) is None:
        raise Unavailable(f"{command} is not installed (Debian: {package})")


def _install(folder, pinned, command, env=None):
    """Runs the command unless it has succeeded before for these pins."""
    done_mark = folder / ".installed"
    wanted = "\n".join(path.read_text() for path in pinned)
    if done_mark.exists() and done_mark.read_text() == wanted:
        return
    print("installing", folder.name, file=sys.stderr)
    done_mark.unlink(missing_ok=True)
    for path in pinned:
        shutil.copy(path, folder)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise Unavailable(f"cannot install {folder.name}: {(done.stderr or done.stdout).strip()[-300:]}")
    done_mark.write_text(wanted)


def _copy(source, folder):
    """A file, or a folder's files: the programs beside their packages, where Node looks for them."""
    for path in source.iterdir() if source.is_dir() else [source]:
        if path.is_file():
            shutil.copy(path, folder)


def _node(name, source, more):
    _need("node", "nodejs")
    _need("npm", "npm")
    with _locked(name) as folder:
        _install(folder, [source / "package.json", source / "package-lock.json"],
                 ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        for path in (source, *more):
            _copy(path, folder)
    return folder


def node():
    folder = _node("js", HERE / "js", [])
    (folder / "drizzle").mkdir(exist_ok=True)
    _copy(HERE / "apps" / "drizzle", folder / "drizzle")
    return folder


def prisma():
    return _node("prisma", HERE / "apps" / "prisma", [HERE / "js" / "checks.mjs"])


def python():
    if subprocess.run([PYTHON, "-c", "import pip, aiohttp, typing_extensions"], capture_output=True).returncode != 0:
        raise Unavailable("pip or aiohttp is missing (Debian: python3-pip python3-aiohttp python3-typing-extensions)")
    source = HERE / "python"
    with _locked("python") as folder:
        shutil.rmtree(folder / "packages", ignore_errors=True) if not (folder / ".installed").exists() else None
        _install(folder, [source / "requirements.txt"],
                 [PYTHON, "-m", "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                  "--disable-pip-version-check", "--root-user-action=ignore", "--target", "packages",
                  "-r", "requirements.txt"])
        _copy(source, folder)
    return folder


def go():
    _need("go", "golang, which must be 1.20 or newer")
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, cwd="/").stdout
    version = re.match(r"go(\d+)\.(\d+)", said)
    if version is None or tuple(map(int, version.groups())) < (1, 20):
        raise Unavailable(f"Go 1.20 is needed, and {said.strip() or 'an older one'} is installed")
    source = HERE / "go"
    with _locked("go") as folder:
        _install(folder, [source / "go.mod", source / "go.sum", source / "main.go"],
                 ["go", "build", "-mod=readonly", "-o", "checks", "."], {"GOFLAGS": "", "GOTOOLCHAIN": "local"})
    return folder


PACKAGES = (("PYTHONPATH", str(CACHE / "python" / "packages")),)

HTTP = [
    Program("client-http", "http", node, ("node", "client.mjs")),
    *(Program(f"{form}-http", "http", node, ("node", "hrana.mjs"), (("LIBSQL_HRANA", form),))
      for form in ("hrana2", "hrana3", "hrana3-protobuf")),
    Program("drizzle-http", "http", node, ("node", "drizzle/app.mjs")),
    Program("prisma-http", "http", prisma, ("node", "app.mjs")),
    Program("libsql-client-http", "http", python, (PYTHON, "libsql_client_checks.py"), PACKAGES),
    Program("libsql-http", "http", python, (PYTHON, "libsql_checks.py"), PACKAGES),
    Program("go-http", "http", go, ("./checks",)),
]
WEBSOCKET = [
    Program("client-ws", "ws", node, ("node", "client.mjs")),
    *(Program(f"{form}-ws", "ws", node, ("node", "hrana.mjs"), (("LIBSQL_HRANA", form),))
      for form in ("hrana1", "hrana2", "hrana3", "hrana3-protobuf")),
    Program("drizzle-ws", "ws", node, ("node", "drizzle/app.mjs")),
    Program("libsql-client-ws", "ws", python, (PYTHON, "libsql_client_checks.py"), PACKAGES),
    Program("go-ws", "ws", go, ("./checks",)),
]
PROGRAMS = HTTP + WEBSOCKET
