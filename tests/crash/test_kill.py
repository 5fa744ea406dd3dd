"""The server killed under load, again and again, against a ledger of what it had answered.

    tests/soak [CYCLES]     the same, 1,000 times (ROOKERY_SEED repeats a run)

kill -9 leaves the page cache: this is about recovery, gates and order, not about the disk; power
cuts are tests/crash/powercut.c's."""

import os
import subprocess
import time

import pytest
from server import PATIENCE, SANITIZER
from workload import ACKNOWLEDGED, REFUSED, Book, Op, Workload

CYCLES = int(os.environ.get("ROOKERY_CYCLES", "50" if SANITIZER == "none" else "15"))
# What makes checkpoints, WAL restarts, evictions and small groups happen within a second.
OPTIONS = (
    (),
    ("--commit", "inline"),
    ("--wal-soft", "64k", "--idle-close", "100ms"),
    ("--max-open", "8", "--workers", "4"),
    ("--group-requests", "3", "--sync-threads", "1", "--readers", "1"),
    ("--wal-soft", "256k", "--loops", "1", "--loop-steps", "0", "--cached-statements", "2"),
)


def kill_while_starting(server, rng):
    """A second crash before the first is recovered from."""
    process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0, 0.06) * PATIENCE)
    process.kill()
    process.wait()


def test_nothing_acknowledged_is_lost_by_kill_9(start_server, rng):
    begun = time.monotonic()
    server = start_server()
    load = Workload(server, rng)
    for cycle in range(CYCLES):
        load.load()
        time.sleep(rng.uniform(0.02, 0.7))
        server.kill()
        load.killed = True
        load.stop()
        server.options = list(rng.choice(OPTIONS))
        if rng.random() < 0.3:
            kill_while_starting(server, rng)
        server.start()
        load.check()
        if cycle % 4 == 3:
            load.forget_old_rows()
        if CYCLES > 100 and cycle % 50 == 49:
            print(f"cycle {cycle + 1}: {load.acknowledged} answers in "
                  f"{time.monotonic() - begun:.0f} s", flush=True)
    server.check_log()
    print(f"{CYCLES} cycles, {load.acknowledged} acknowledged in {time.monotonic() - begun:.0f} s")
    assert load.acknowledged > CYCLES * 20, "hardly any load: this proves nothing"
    server.stop()
    load.check_files()


def test_a_stop_under_load_leaves_whole_files(start_server, rng):
    """SIGTERM: exit status 0 in time, all acknowledged there, WALs empty, plain SQLite files."""
    server = start_server("--drain-timeout", "10s")
    load = Workload(server, rng)
    for _ in range(3):
        load.load()
        time.sleep(rng.uniform(0.2, 0.5))
        assert server.stop() < 10 * PATIENCE
        load.stop()
        load.check_files()
        server.start()
        load.check()


@pytest.mark.parametrize("rows, counters, accounts, says", [
    ([(1, 0), (2, 0), (2, 1)], {7: 3}, [5, -5], None),
    ([(2, 0), (2, 1)], {7: 3}, [0, 0], "acknowledged, 0 of 1"),
    ([(1, 0), (2, 0)], {7: 3}, [0, 0], "acknowledged, 1 of 2"),
    ([(1, 0), (1, 0), (2, 0), (2, 1)], {7: 3}, [0, 0], "acknowledged, 2 of 1"),
    ([(1, 0), (2, 0), (2, 1), (3, 1)], {7: 3}, [0, 0], "torn"),
    ([(1, 0), (2, 0), (2, 1), (4, 0)], {7: 3}, [0, 0], "refused, yet"),
    ([(1, 0), (2, 0), (2, 1), (9, 0)], {7: 3}, [0, 0], "never sent"),
    ([(1, 0), (2, 0), (2, 1)], {7: 2}, [0, 0], "counter 7"),
    ([(1, 0), (2, 0), (2, 1)], {7: 5}, [0, 0], "counter 7"),
    ([(1, 0), (2, 0), (2, 1)], {7: 3}, [7, 0], "half done"),
])
def test_the_ledger_notices(rows, counters, accounts, says):
    """Control: each kind of loss is found."""
    book = Book(None)
    book.ops = {1: Op(1), 2: Op(2), 3: Op(3), 4: Op(1)}
    book.ops[1].state = book.ops[2].state = ACKNOWLEDGED
    book.ops[4].state = REFUSED
    book.counters[7] = [3, 4]
    problems = book.problems(rows, dict(counters), accounts)
    assert len(problems) == (says is not None) and says is None or says in problems[0], problems
