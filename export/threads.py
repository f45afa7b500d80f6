"""How many threads an export computes on: one.

Its convolutions are small, a few thousand of them, and two threads that meet after each are soon
waiting for one that another program keeps from running. And sums do not depend on the machine, so
scales and rounded weights do not either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread inside, and afterwards on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
