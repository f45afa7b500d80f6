"""What is known and not learnt, and what is worked out of weights when a file is written, is
rounded from float64: so a file says the same whichever processor wrote it. In float32 last bits
differ by how many numbers a processor works on at once and by whose library has the sines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import pytest
import torch

from tests.export.small_models import SMALL, small_model

MODELS = [(family, name) for family, shapes in SMALL.items() for name in shapes]


@contextmanager
def made_in(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(("family", "name"), MODELS)
def test_tables_are_rounded_from_float64(family: str, name: str) -> None:
    """Where a table is made in what a model is made in, another one comes out."""
    own = small_model(family, name)
    with made_in(torch.float64):
        other = small_model(family, name)
    stored = set(own.state_dict())
    tables = {key: value for key, value in own.named_buffers() if key not in stored}
    found = dict(other.named_buffers())
    assert set(tables) <= set(found)
    for key, table in tables.items():
        assert torch.equal(table, found[key].to(table.dtype)), key


@pytest.mark.parametrize(("family", "name"), MODELS)
def test_what_is_worked_out_of_weights_is_rounded_from_float64(family: str, name: str) -> None:
    own = small_model(family, name)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in own.parameters():  # none is so plain that no bit is lost
            weight.add_(0.3 * torch.randn_like(weight))
    other = deepcopy(own).double()
    for method in own.methods:
        pairs = list(zip(own.graph(method).ops, other.graph(method).ops, strict=True))
        assert pairs
        for one, exact in pairs:
            assert one.weights.keys() == exact.weights.keys()
            for key, value in one.weights.items():
                assert value.dtype == np.float32
                assert np.array_equal(value, exact.weights[key].astype(np.float32)), one.name
