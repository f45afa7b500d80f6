"""The loader believes nothing of noise of a number either."""

from __future__ import annotations

import pytest

from engine.players import native_format as fmt
from tests.core.test_native_loader import changed, conv_of, opened, refusal


@pytest.mark.parametrize(("field", "value", "message"), [
    ("attr_seed", 99, "attribute"),
    ("in_a", 1 << 20, "outside its buffer"),
    ("in_a", 2, "channel counts"),
    ("act", 3, "unknown kind"),
    ("dtype", 1, "number format"),
    ("in_b", 1 << 20, "None"),
])
def test_damaged_noise_of_a_number_is_refused(field: str, value: int, message: str) -> None:
    data = changed("op", field, value, conv_of("loop_keyed", kind=fmt.ops()["keyed_noise"]),
                   "loop_keyed")
    if message == "None":  # what nobody reads may be anything
        opened(data)
    else:
        assert message in refusal(data)
