"""Medians, the table, and the targets of the project beside what was reached."""

import statistics

from .targets import LABELS

CELLS = {"select-1": "point SELECT, 1 tenant", "select-n": "point SELECT, 1,000 tenants",
         "insert-1": "durable INSERT, 1 tenant", "insert-n": "durable INSERT, 1,000 tenants"}


def median(results, target, cell, key):
    """The median over the rounds; None without a value, or when a round had errors."""
    rounds = results.get(target, {}).get(cell, [])
    if not rounds or any(row.get("errors") for row in rounds):
        return None
    values = [row[key] for row in rounds if row.get(key) is not None]
    return statistics.median(values) if values else None


def number(value, digits=0, missing="–"):
    return missing if value is None else f"{value:,.{digits}f}"


def milliseconds(value_us):
    return "–" if value_us is None else f"{value_us / 1000:,.2f}"


def ratio(over, under):
    return None if not over or not under else over / under


def _rate(results, target, cell):
    errors = sum(row.get("errors", 0) for row in results[target][cell])
    if errors:
        return f"**{errors:,} errors**"
    return number(median(results, target, cell, "per_second"))


def _open_loop(results, target, cell):
    rounds = results[target].get("open-" + cell, [])
    text = milliseconds(median(results, target, "open-" + cell, "p999_us"))
    return text if all(row["sustained"] for row in rounds) else text + " (not sustained)"


# Whose rate "Rookery is" compares a peer's with: that over the same protocol.
RIVALS = {"sqld": "rookery-hrana", "sqld-ws": "rookery-ws"}


def _times(results, target, cell, rookery):
    rival = RIVALS.get(target, rookery)
    over = median(results, rival, cell, "per_second") or median(results, rookery, cell,
                                                                "per_second")
    return ratio(over, median(results, target, cell, "per_second"))


def rate_table(results, rookery="rookery"):
    h2load = any(cell.startswith("h2load-") for cells in results.values() for cell in cells)
    lines = ["| work, 32 connections | server | requests/s | Rookery is | CPU µs/request | p99 ms "
             "| p99.9 ms at 70 % |" + (" by h2load |" if h2load else "") + " answer B |",
             "|---|---|---:|---:|---:|---:|---:|---:|" + ("---:|" if h2load else "")]
    for cell, title in CELLS.items():
        for target in results:
            if cell not in results[target]:
                continue
            times = _times(results, target, cell, rookery)
            lines.append("| " + " | ".join([
                title, LABELS[target], _rate(results, target, cell),
                "–" if target == rookery or times is None else f"{times:.2f}x",
                number(median(results, target, cell, "cpu_us"), 1),
                milliseconds(median(results, target, cell, "p99_us")),
                _open_loop(results, target, cell),
                *([milliseconds(median(results, target, "h2load-" + cell, "p999_us"))]
                  if h2load else []),
                number(median(results, target, cell, "answer_bytes"))]) + " |")
            title = ""
    return lines


SCALARS = (
    ("create_seconds", "create 1,000 databases, s", 2),
    ("fill_seconds", "tables and 100 rows in each, s", 2),
    ("resident_start_mb", "resident after start, MB", 1),
    ("resident_touched_mb", "resident after touching 1,000 tenants, MB", 1),
    ("resident_idle_mb", "resident after `--idle-close`, MB", 1),
    ("first_p50_ms", "first query on a closed database, p50 ms", 2),
    ("first_p99_ms", "first query on a closed database, p99 ms", 2),
    ("syncs_per_insert", "syncs per acknowledged INSERT, one at a time", 2),
    ("inserts_per_sync", "acknowledged INSERTs per sync, 32 connections", 1),
)


def scalar(scalars, target, key):
    values = scalars.get(target, {}).get(key, [])
    return statistics.median(values) if values else None


def scalar_table(scalars):
    targets = [target for target in scalars if scalars[target]]
    lines = ["| | " + " | ".join(LABELS[target] for target in targets) + " |",
             "|---|" + "---:|" * len(targets)]
    for key, title, digits in SCALARS:
        values = [scalar(scalars, target, key) for target in targets]
        if any(value is not None for value in values):
            lines.append("| " + " | ".join([title] + [number(value, digits) for value in values])
                         + " |")
    return lines


def floor_lines(floors):
    if not floors:
        return []

    def middle(kind, key):
        return statistics.median(row[kind][key] for row in floors)

    return [f"In process, one thread, SQLite {floors[0]['sqlite']}, no server: point SELECT "
            f"{middle('select', 'per_second'):,.0f}/s; INSERT with synchronous=FULL "
            f"{middle('insert', 'per_second'):,.0f}/s (p99 {middle('insert', 'p99_us'):,.0f} µs), "
            f"without syncs {middle('memory', 'per_second'):,.0f}/s; 4 KiB overwritten and "
            f"fdatasync {middle('sync', 'per_second'):,.0f}/s."]


def targets_table(results, scalars):
    """What the project promised itself, and what this run reached."""
    def rate(target, cell):
        return median(results, target, cell, "per_second")

    def best_peer(cell):
        return max((rate(peer, cell) or 0 for peer in ("sqld", "workerd")), default=0) or None

    def against_sqld(ours, theirs, wanted):
        title = LABELS[ours].removeprefix("Rookery, ")
        return [(f"{title}, {work}, against sqld", ratio(rate(ours, cell), rate(theirs, cell)),
                 ">=", wanted if cell.startswith("select") else 10, "x")
                for cell, work in CELLS.items()]

    p99 = median(results, "rookery", "select-1", "p99_us")
    sync = scalar(scalars, "rookery", "syncs_per_insert")
    rows = [
        ("point SELECT against nginx's static answer", ratio(rate("rookery", "select-1"),
         rate("nginx", "select-1")), ">=", 0.6, "x"),
        ("point SELECT against the better of sqld and workerd", ratio(rate("rookery", "select-1"),
         best_peer("select-1")), ">=", 10, "x"),
        ("point SELECT, p99", p99 and p99 / 1000, "<=", 2, " ms"),
        ("durable INSERT against the better of sqld and workerd", ratio(rate("rookery", "insert-1"),
         best_peer("insert-1")), ">=", 10, "x"),
        ("durable INSERT against our own point SELECT", ratio(rate("rookery", "insert-1"),
         rate("rookery", "select-1")), ">=", 0.6, "x"),
        ("syncs per acknowledged INSERT, one at a time", sync, ">=", 1, ""),
        ("SELECT, 1,000 tenants against 1", ratio(rate("rookery", "select-n"),
         rate("rookery", "select-1")), ">=", 0.7, "x"),
        ("INSERT, 1,000 tenants, against --commit=inline", ratio(rate("rookery", "insert-n"),
         rate("rookery-inline", "insert-n")), ">=", 2, "x"),
        ("1,000 databases in one request", scalar(scalars, "rookery", "create_seconds"), "<=", 1,
         " s"),
        ("resident with 1,000 databases open", scalar(scalars, "rookery", "resident_touched_mb"),
         "<=", 80, " MB"),
        ("resident after --idle-close", scalar(scalars, "rookery", "resident_idle_mb"), "<=", 40,
         " MB"),
        ("first query on a closed database, p50", scalar(scalars, "rookery", "first_p50_ms"), "<=",
         1, " ms"),
        *against_sqld("rookery-hrana", "sqld", 10),
        *against_sqld("rookery-ws", "sqld-ws", 5),
    ]
    lines = ["| target | wanted | reached | |", "|---|---:|---:|---|"]
    for title, value, sense, wanted, unit in rows:
        sign = "≥" if sense == ">=" else "≤"
        met = value is not None and (value >= wanted if sense == ">=" else value <= wanted)
        verdict = "not measured" if value is None else ("yes" if met else "**no**")
        reached = "–" if value is None else f"{value:,.2f}{unit}"
        lines.append(f"| {title} | {sign} {wanted:g}{unit} | {reached} | {verdict} |")
    return lines
