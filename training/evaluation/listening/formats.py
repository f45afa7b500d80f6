"""What the files of a listening test are called, and the kinds of what is compared."""

from __future__ import annotations

TEST_FORMAT = "tudor listening test"
KEY_FORMAT = "tudor listening key"
ANSWER_FORMAT = "tudor listening answer"
VERSION = 1
REFERENCE, ANCHOR, BASELINE, MODEL = KINDS = ("reference", "anchor", "baseline", "model")
