"""summary.py RESULTS SECONDS: adds up the results of tests/run: JUnit files of pytest and meson,
meson's own log beside its JUnit file, and rows.tsv. Prints every skip with its reason, every failure
with its first line, and the sum last. Exit status 0 only when something passed and nothing failed."""

import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def first_line(text):
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")[:300]


def said_by(stderr):
    """A sanitizer's summary, or the first line."""
    return next((line.strip()[:300] for line in (stderr or "").splitlines() if line.startswith("SUMMARY: ")),
                first_line(stderr))


def reason_of(case, mark):
    """What a <failure> or <skipped> says; meson puts a skip's reason into <system-out>."""
    text = mark.get("message") or mark.text or case.findtext("system-out")
    return first_line(text)


def program_of(name):
    """meson's "rookery.rookery:crash+long / powercut-long", or without its suites: the last word."""
    return name.split(" / ")[-1].split(":")[-1].split(".")[-1].strip()


def from_junit(path):
    """(stage, name, outcome, reason) of each test case."""
    stage = path.stem
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        for case in suite.findall("testcase"):
            if "rookery" in case.get("classname", ""):  # meson: "12 - what it says", or the program
                program, point = program_of(suite.get("name", "")), case.get("name", "")
                name = f"{program}: {point}" if " - " in point else f"{program_of(point)}:"
            else:  # pytest
                name = f"{case.get('classname')}::{case.get('name')}"
            outcome, reason = "passed", ""
            for mark in case:
                if mark.tag in ("failure", "error"):
                    outcome, reason = "failed", reason_of(case, mark)
                elif mark.tag == "skipped" and outcome == "passed":
                    outcome, reason = "skipped", reason_of(case, mark)
            yield stage, name, outcome, reason


def from_meson(path, rows):
    """Programs that failed otherwise than by a point of their own: crashed, timed out, leaked."""
    failed = {name.split(":")[0] for _, name, outcome, _ in rows if outcome == "failed"}
    for line in path.read_text().splitlines():
        test = json.loads(line)
        name = program_of(test["name"])
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and name not in failed:
            yield path.stem, f"{name}: the program itself", "failed", \
                f"{test['result']}, status {test.get('returncode')}: {said_by(test.get('stderr'))}"


def from_rows(path):
    for line in path.read_text().splitlines():
        stage, name, outcome, reason = (line.split("\t") + ["", "", ""])[:4]
        yield stage, name, outcome, reason


def main():
    folder, seconds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    rows = []
    for path in sorted(folder.glob("*.xml")):
        found = list(from_junit(path))
        log = path.with_suffix(".json")
        if log.exists():
            found += from_meson(log, found)
        rows += found
    if (folder / "rows.tsv").exists():
        rows += from_rows(folder / "rows.tsv")

    count = {outcome: sum(row[2] == outcome for row in rows)
             for outcome in ("passed", "failed", "skipped")}
    for stage, name, outcome, reason in rows:
        if outcome == "skipped":
            print(f"skipped  {stage}  {name}: {reason}")
    for stage, name, outcome, reason in rows:
        if outcome == "failed":
            print(f"FAILED   {stage}  {name}: {reason}")
    if count["failed"]:
        print(f"logs: {folder}/")
    print(f"took {seconds // 60} min {seconds % 60} s")
    print(f"{count['passed']} passed, {count['failed']} failed"
          + (f", {count['skipped']} skipped" if count["skipped"] else ""))
    return 0 if count["passed"] and not count["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
