"""Times for people."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """1:02:03 or 2:03; a run without a budget has no end."""
    if math.isinf(seconds):
        return "without end"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
