"""Print the slowest tests and sessions of the reports in a folder, then "N passed, N failed, N skipped".

Fails when a test failed or none ran.
"""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

SHOWN = 20


def main(folder: Path) -> int:
    """Sum up the JUnit reports and return the exit code."""
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    cases: list[tuple[float, str]] = []
    for report in sorted(folder.glob("*.xml")):
        for suite in ElementTree.parse(report).iter("testsuite"):
            for key in totals:
                totals[key] += int(suite.get(key, 0))
            for case in suite.iter("testcase"):
                name = f"{report.stem}: {case.get('classname', '')}::{case.get('name', '')}"
                cases.append((float(case.get("time", 0)), name))
    show("slowest tests", cases)
    sessions = folder / "sessions.json"
    if sessions.is_file():
        show("slowest sessions", [(seconds, name) for name, seconds in json.loads(sessions.read_text()).items()])
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    print(f"{passed} passed, {failed} failed, {totals['skipped']} skipped")
    return 1 if failed or not passed else 0


def show(title: str, rows: list[tuple[float, str]]) -> None:
    """Print the rows that took longest."""
    print(f"{title}:")
    for seconds, name in sorted(rows, reverse=True)[:SHOWN]:
        print(f"{seconds:8.1f} s  {name}")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
