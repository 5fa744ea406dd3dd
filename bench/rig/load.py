"""The load drivers: wrk (closed loop), openloop and h2load (open loop), wsloop (WebSocket, both),
redis-benchmark."""

import json
import os
import subprocess
import tempfile

from .proc import Failed

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _run(command, seconds):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end within {seconds:.0f} s") from error
    if done.returncode != 0:
        raise Failed(f"{os.path.basename(command[0])}: {done.stderr.strip() or done.stdout[-300:]}")
    return done.stdout


def wrk(port, requests, connections, seconds):
    """One closed-loop run. Returns counts, rate, percentiles, and `errors` (0 in a valid run)."""
    threads = min(2, connections)
    out = _run(["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s",
                "--latency", "--timeout", "10s", "-s", os.path.join(HERE, "wrk.lua"),
                f"http://127.0.0.1:{port}", "--", requests], seconds * 3 + 30)
    result = json.loads(out.strip().splitlines()[-1])
    result["per_second"] = result["requests"] / result["seconds"]
    result["errors"] = result["not_2xx"] + result["broken"] + result["timeouts"]
    return result


def openloop(binary, port, requests, *, connections=32, rate=0.0, seconds=3.0, warmup=0.0, count=0,
             expect=None):
    """Open loop at `rate`, or closed with rate 0. `errors` counts what was not answered well."""
    command = [binary, "--target", f"127.0.0.1:{port}", "--requests", requests, "--connections",
               str(connections), "--rate", f"{rate:.1f}", "--seconds", str(seconds), "--warmup",
               str(warmup), "--count", str(count)]
    if expect:
        command += ["--expect", expect]
    result = json.loads(_run(command, seconds + warmup + 30))
    result["errors"] = sum(result[key] for key in ("not_2xx", "unexpected", "broken", "unanswered"))
    return result


def wsloop(binary, port, files, *, connections, in_flight, rate=0.0, seconds=3.0, warmup=0.0,
           expect=None):
    """As openloop, over WebSocket. `files`: the paths of upgrades, openings and messages."""
    upgrades, openings, requests = files
    command = [binary, "--target", f"127.0.0.1:{port}", "--upgrades", upgrades, "--openings",
               openings, "--requests", requests, "--connections", str(connections), "--in-flight",
               str(in_flight), "--rate", f"{rate:.1f}", "--seconds", str(seconds), "--warmup",
               str(warmup)]
    if expect:
        command += ["--expect", expect]
    result = json.loads(_run(command, seconds + warmup + 90))
    result["requests"] = result["answered"]
    result["errors"] = sum(result[key] for key in ("unexpected", "broken", "unanswered"))
    return result


def h2load(port, request, *, connections=32, rate=0.0, seconds=3.0):
    """h2load's own constant rate over one request. Its latencies count from the sending, so what
    waited for a free connection is not in them; openloop's are the ones to read."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = [line for line in lines[1:]
               if not line.lower().startswith(("host:", "content-length:"))]
    host = next(line[6:] for line in lines if line.lower().startswith("host:"))
    with tempfile.TemporaryDirectory() as folder:
        log, data = os.path.join(folder, "log"), os.path.join(folder, "body")
        with open(data, "wb") as file:
            file.write(body)
        command = ["h2load", "--h1", f"--rps={max(1, round(rate / connections))}", "-c",
                   str(connections), "-D", str(max(1, round(seconds))), "--warm-up-time=1", "-d",
                   data, f"--log-file={log}", f"--connect-to=127.0.0.1:{port}"]
        for line in headers:
            command += ["-H", line]
        path = lines[0].split()[1]
        _run(command + [f"http://{host.partition(':')[0]}:{port}{path}"], seconds + 30)
        with open(log, encoding="ascii") as file:
            rows = [line.split("\t") for line in file]
    times = sorted(int(row[2]) for row in rows)
    if not times:
        raise Failed("h2load counted no request")
    return {"per_second": len(times) / max(1, round(seconds)),
            "p99_us": times[len(times) * 99 // 100], "p999_us": times[len(times) * 999 // 1000],
            "errors": sum(1 for row in rows if not row[1].startswith("2"))}


def redis_benchmark(port, command, connections, requests, size):
    """Returns rate and p99 of GET or SET with values of `size` bytes over 1,000 keys."""
    out = _run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", command, "-c",
                str(connections), "-n", str(requests), "-d", str(size), "-r", "1000", "--csv"], 120)
    names, values = [line.strip('"').split('","') for line in out.strip().splitlines()[-2:]]
    row = dict(zip(names, values))
    return {"requests": requests, "per_second": float(row["rps"]), "errors": 0,
            "p50_us": float(row["p50_latency_ms"]) * 1000,
            "p99_us": float(row["p99_latency_ms"]) * 1000}
