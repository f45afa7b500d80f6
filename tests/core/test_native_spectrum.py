"""Files whose spectra are damaged are refused."""

from __future__ import annotations

import pytest

from engine.players import native_format as fmt
from tests.core.native_cases import ALONE
from tests.core.test_native_loader import NONE, changed, conv_of, refusal

BOTH = [("kernel", 0, "impossible shape"), ("kernel", 64, "impossible shape"),
        ("kernel", 129, "impossible shape"), ("kernel", 8192, "impossible shape"),
        ("kernel", 1 << 31, "impossible shape"), ("params", NONE, "weights lie outside"),
        ("params", NONE - 63, "weights lie outside"), ("state", 99, "state lies outside"),
        ("state", NONE, "state lies outside"), ("act", 3, "unknown kind"),
        ("dtype", 1, "number format")]


@pytest.mark.parametrize(("field", "value", "message"), [
    *BOTH,
    ("kernel", 256, "channel counts"),
    ("stride", 0, "impossible shape"),
    ("stride", 64, "impossible shape"),  # half a window
    ("stride", 4, "impossible shape"),
    ("stride", 24, "impossible shape"),
    ("stride", 1 << 31, "impossible shape"),
    ("stride", 16, "rates or ratios"),
    ("dilation", 2, "impossible shape"),
    ("slope", 0.0, "impossible shape"),
    ("slope", -1.0, "impossible shape"),
    ("attr_seed", 1, "reserved"),
])
def test_a_damaged_spectrum_is_refused(field: str, value: float, message: str) -> None:
    name = f"{ALONE}spectrum"
    index = conv_of(name, kind=fmt.ops()["spectrum"])
    assert message in refusal(changed("op", field, value, index, name))


@pytest.mark.parametrize(("field", "value", "message"), [
    *BOTH,
    ("kernel", 256, "channel counts"),
    ("phases", 0, "impossible shape"),
    ("phases", 64, "impossible shape"),
    ("phases", 4, "impossible shape"),
    ("phases", 24, "impossible shape"),
    ("phases", 1 << 31, "impossible shape"),
    ("phases", 16, "rates or ratios"),
    ("attr_seed", 99, "attribute"),
])
def test_a_damaged_resynth_is_refused(field: str, value: int, message: str) -> None:
    name = f"{ALONE}resynth"
    index = conv_of(name, kind=fmt.ops()["resynth"])
    assert message in refusal(changed("op", field, value, index, name))
