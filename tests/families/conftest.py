"""After the tests of this folder: what each of its families costs."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = (report.nodeid for group in ("passed", "failed")
           for report in terminalreporter.stats.get(group, []))
    if any("test_lines" in node for node in ran):
        from tests.families.lines import table

        terminalreporter.write_line(table())
