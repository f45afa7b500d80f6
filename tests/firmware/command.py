"""The command, called in this process."""

from __future__ import annotations

from nn_tudor.cli import main


def tudor(*words: object) -> int:
    """Its exit code."""
    try:
        main([str(word) for word in words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
