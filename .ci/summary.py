"""Print "N passed, N failed, N skipped" over the JUnit reports in a folder; fails when a test failed or none ran."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(folder: Path) -> int:
    """Sum up the reports and return the exit code."""
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in sorted(folder.glob("*.xml")):
        for suite in ElementTree.parse(report).iter("testsuite"):
            for key in totals:
                totals[key] += int(suite.get(key, 0))
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    print(f"{passed} passed, {failed} failed, {totals['skipped']} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
