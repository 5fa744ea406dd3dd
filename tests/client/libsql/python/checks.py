"""The checks of a program: @check names them, run() runs them in order and prints a plan (1..N) and a
line each, `ok NAME`, `skip NAME: WHY` or `not ok NAME: WHY`. Words on the command line choose checks."""

import os
import re
import sys
import threading
import time
import traceback

URL = os.environ["LIBSQL_URL"]
TOKEN = os.environ["LIBSQL_TOKEN"]
READ_TOKEN = os.environ["LIBSQL_READ_TOKEN"]
WRONG_URL = os.environ["LIBSQL_WRONG_URL"]
IS_WEBSOCKET = URL.startswith("ws")
PATIENCE_S = float(os.environ.get("LIBSQL_PATIENCE_S", "60"))

_checks = []


class Skip(Exception):
    """The check does not apply here."""


def check(name):
    def keep(run):
        _checks.append((name, run))
        return run

    return keep


def rejects(call, kind, pattern=""):
    """Calls it; it must raise `kind` with a text that has the pattern. Returns the error."""
    try:
        value = call()
    except kind as error:
        assert re.search(pattern, str(error)), f"{pattern!r} is not in {error}"
        return error
    raise AssertionError(f"no error: {value!r}")


def run():
    words = sys.argv[1:]
    chosen = [row for row in _checks if not words or any(word in row[0] for word in words)]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    for index, (name, body) in enumerate(chosen):
        late = threading.Timer(PATIENCE_S, _give_up, [name])
        late.start()
        try:
            body(f"t{time.time_ns()}_{index}")
            print(f"ok {name}", flush=True)
        except Skip as why:
            print(f"skip {name}: {why}", flush=True)
        except BaseException as problem:  # libsql panics with an exception that is no Exception
            failed += 1
            text = f"{type(problem).__name__}: {problem}\n{traceback.format_exc()}"
            print(f"not ok {name}: " + text.rstrip().replace("\n", "\n    "), flush=True)
        late.cancel()
    os._exit(1 if failed else 0)  # a client's thread that was left waiting must not keep the program


def _give_up(name):
    print(f"not ok {name}: no end after {PATIENCE_S} s", flush=True)
    os._exit(1)
