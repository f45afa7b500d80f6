"""Files whose pitch tracker or harmonics are damaged are refused."""

from __future__ import annotations

import pytest

from engine.players import native_format as fmt
from tests.core.test_native_loader import NONE, changed, conv_of, refusal


@pytest.mark.parametrize(("field", "value", "message"), [
    ("kernel", 0, "impossible shape"),
    ("kernel", 1 << 19, "impossible shape"),
    ("kernel", 150 + 12 * 12, "looks back further"),
    ("stride", 0, "impossible shape"),
    ("stride", 24, "rates or ratios"),
    ("groups", 0, "impossible shape"),
    ("groups", 5, "impossible shape"),  # does not divide a frame
    ("groups", 1 << 31, "impossible shape"),
    ("phases", 3, "impossible shape"),
    ("phases", 1 << 30, "impossible shape"),
    ("seed", 0, "impossible shape"),
    ("seed", 65, "impossible shape"),
    ("dilation", 2, "impossible shape"),
    ("gate", 2, "impossible shape"),
    ("params", NONE, "weights lie outside"),
    ("state", 99, "state lies outside"),
])
def test_a_damaged_pitch_tracker_is_refused(field: str, value: int, message: str) -> None:
    index = conv_of("tones", kind=fmt.ops()["pitch_track"])
    assert message in refusal(changed("op", field, value, index, "tones"))


@pytest.mark.parametrize(("field", "value", "message"), [
    ("kernel", 0, "impossible shape"),
    ("kernel", 1 << 20, "impossible shape"),
    ("kernel", 400, "state lies outside"),
    ("phases", 0, "impossible shape"),
    ("phases", 6, "rates or ratios"),
    ("seed", 0, "impossible shape"),
    ("seed", 1 << 30, "impossible shape"),
    ("params", NONE, "weights lie outside"),
    ("in_a", 0, "channel counts"),
])
def test_damaged_harmonics_are_refused(field: str, value: int, message: str) -> None:
    index = conv_of("tones", kind=fmt.ops()["harmonics"])
    assert message in refusal(changed("op", field, value, index, "tones"))
