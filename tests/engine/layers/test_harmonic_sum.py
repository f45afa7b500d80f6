"""Sums of harmonics in pieces, without what is silent, against all of them at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.layers import Harmonics
from engine.layers import harmonic_sum as place

HOP, BANDS, FRAMES = 7, 5, 40
State = tuple[Tensor, ...]


def layer_of(**more: object) -> Harmonics:
    return Harmonics(BANDS, HOP, 16000, 24, **more)  # type: ignore[arg-type]


def mixed(dtype: torch.dtype = torch.float64, batch: int = 3) -> Tensor:
    """Pitches all over the range; frames that are clear, are not, and are half of it."""
    draw = torch.Generator().manual_seed(3)
    x = torch.rand(batch, 2 + BANDS, FRAMES, generator=draw, dtype=dtype) - 2
    x[:, 0] = 8 * torch.rand(batch, FRAMES, generator=draw, dtype=dtype) - 4
    x[:, 1] = torch.randint(0, 4, (batch, FRAMES), generator=draw) / 3 * 0.3 + 0.57
    x[1, 1] = 0  # a stream of silence
    return x


def all_at_once(layer: Harmonics, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    with monkeypatch.context() as patched:
        patched.setattr("engine.layers.harmonics.harmonic_sum", layer._all)
        return layer.offline(x)


@pytest.mark.parametrize("chunk", [1, 1000, place.CHUNK_SINES])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_what_sounds_is_all_there_is(dtype: torch.dtype, near: float, chunk: int,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sound and the same gradients, whatever is passed over, in pieces of any size."""
    monkeypatch.setattr(place, "CHUNK_SINES", chunk)
    layer, results = layer_of(crossover_hz=(300.0, 900.0)), []
    for play in (layer.offline, lambda x: all_at_once(layer, x, monkeypatch)):
        x = mixed(dtype).requires_grad_()
        y = play(x)
        assert y.shape == (3, 1, FRAMES * HOP)
        (y * torch.cos(torch.arange(y.numel(), dtype=dtype)).reshape(y.shape)).sum().backward()
        results.append((y.detach(), x.grad))
    for ours, whole in zip(*results, strict=True):
        assert ours.dtype == whole.dtype == dtype
        assert whole.abs().max() > 0.1
        assert (ours - whole).abs().max() < near * whole.abs().max()
    assert results[0][0][1].abs().max() == 0, "silence"


def test_its_gradient_is_that_of_small_steps() -> None:
    """In all that it depends on smoothly: clarity and envelope; the pitch has none."""
    layer, x = layer_of(), mixed(batch=2)[:, :, :6]
    x[:, 1] = torch.tensor([0.3, 0.7, 0.8, 0.8, 0.4, 0.65], dtype=torch.float64)
    x[:, 0] = torch.tensor([[0.4], [2.1]], dtype=torch.float64)
    rest = x[:, 1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda rest: layer.offline(torch.cat((x[:, :1], rest), dim=1)), (rest,))


def test_only_what_sounds_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of one harmonic costs one, a frame of none nothing."""
    made, chunks = [], place._chunks

    def counted(turns: Tensor, pair: Tensor) -> object:
        for rows, part, waves in chunks(turns, pair):
            made.append(waves.numel())
            yield rows, part, waves

    monkeypatch.setattr(place, "_chunks", counted)
    phases = torch.arange(4 * HOP).reshape(1, -1) * 2**27
    amplitudes = torch.zeros(1, 64, 4, requires_grad=True)
    earlier = amplitudes.detach().clone()
    with torch.no_grad():
        amplitudes[0, 9, 2] = 1.0
    y = place.harmonic_sum(phases, amplitudes, earlier, torch.ones(HOP))
    assert sum(made) == HOP
    y.sum().backward()
    assert sum(made) == 2 * HOP
    assert y[0, 2].abs().max() > 0.5
    assert y[0, [0, 1, 3]].abs().max() == 0


def test_what_is_no_number_is_heard() -> None:
    x = mixed(batch=2)
    x[0, 3, 4], x[0, 1] = torch.nan, 1.0
    y = layer_of().offline(x).unflatten(2, (FRAMES, HOP))[:, 0]
    assert y[0, 4:6].isnan().any(dim=1).all()
    assert not y[0, :4].isnan().any()
    assert not y[0, 6:].isnan().any()
    assert not y[1].isnan().any()
