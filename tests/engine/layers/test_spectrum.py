"""Sound to logarithms of magnitudes and back: what they are, that they return, and that every
backend has the same."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.description import Attribute
from engine.layers import Conv1d, Resynth, Sequence, Spectrum
from engine.layers.spectrum import LOG_RANGE, _run_phases
from engine.layers.transform import Transform
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.players.base import load
from export.targets import TARGETS
from tests.engine.layers.contract import check_exact_field, check_gradients, check_padding
from tests.engine.layers.stacks import check_causal, check_reset, check_streaming

SIZES = [(128, 32), (128, 8), (256, 32), (512, 128), (1024, 64), (2048, 512), (4096, 1024)]
RATE = 16000


def sound(count: int, batch: int = 1) -> Tensor:
    """Two falling tones, and a little noise: [batch, 1, count]."""
    n = torch.arange(count) / RATE
    phase = 2 * np.pi * torch.cumsum(440 - 60 * n, 0) / RATE
    y = 0.4 * torch.sin(phase) + 0.2 * torch.sin(3.1 * phase)
    noise = torch.randn(batch, 1, count, generator=torch.Generator().manual_seed(1))
    return y + 0.001 * noise


def silent_noise(tone: Tensor) -> Tensor:
    return torch.cat((tone, torch.full_like(tone, LOG_RANGE[0])), dim=1)


def convergence_db(got: Tensor, wanted: Tensor) -> float:
    """Spectral convergence of magnitudes."""
    assert got.shape == wanted.shape
    return float(20 * torch.log10((got - wanted).norm() / wanted.norm()))


@pytest.mark.parametrize(("fft", "hop"), SIZES)
def test_a_spectrum_is_pytorch_s(fft: int, hop: int) -> None:
    noise = torch.randn(2, 1, 4 * 4096, generator=torch.Generator().manual_seed(0))
    y = Spectrum(fft, hop, 1e-3).offline(noise)
    before = torch.nn.functional.pad(noise[:, 0], (fft - hop, 0))
    window = torch.hann_window(fft)
    wanted = torch.stft(before, fft, hop, window=window, center=False, return_complex=True)
    wanted = (wanted.abs() / window.sum()).clamp_min(1e-3).log()
    assert y.shape == wanted.shape == (2, fft // 2 + 1, noise.shape[2] // hop)
    assert (y - wanted).abs().max() < 1e-4


def test_a_spectrum_is_torchaudio_s() -> None:
    from torchaudio import transforms

    noise = torch.randn(2, 4096, generator=torch.Generator().manual_seed(0))
    of = transforms.Spectrogram(512, hop_length=128, power=1.0, center=False)
    wanted = (of(torch.nn.functional.pad(noise, (384, 0))) / torch.hann_window(512).sum()).log()
    y = Spectrum(512, 128, 1e-9).offline(noise[:, None])
    assert y.shape == wanted.shape
    assert (y - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("size", [128, 512, 2048])
def test_the_transform_goes_back(size: int) -> None:
    x = torch.randn(3, 2, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    transform = Transform(size).double()
    re, im = transform.bins(x)
    whole = torch.fft.rfft(x)
    assert (torch.complex(re, im) - whole).abs().max() < 1e-5 * size**0.5
    assert (transform.windows(re, im) / size - x).abs().max() < 1e-5


def test_levels_are_as_said() -> None:
    fft, hop = 512, 128
    n = torch.arange(4 * fft)
    sine = 0.3 * torch.sin(2 * np.pi * 20 * n / fft)
    y = Spectrum(fft, hop).offline(sine.reshape(1, 1, -1))
    assert (y[0, 20, 4:] - log(0.15)).abs().max() < 1e-4
    assert torch.equal(y[0, 60:, 4:].exp().round(decimals=5), torch.full((197, 12), 1e-5))
    silence = Spectrum(fft, hop, 1e-3).offline(torch.zeros(1, 1, fft))
    assert (silence - log(1e-3)).abs().max() < 1e-6


@pytest.mark.parametrize(("fft", "hop", "most_db"), [(512, 128, -30), (1024, 128, -32),
                                                     (1024, 256, -28), (2048, 128, -30)])
def test_a_tone_returns_as_late_as_a_window(fft: int, hop: int, most_db: float) -> None:
    spectrum, resynth, x = Spectrum(fft, hop), Resynth(fft, hop), sound(RATE)[:, :, : 15 * 1024]
    asked = spectrum.offline(x)
    y = resynth.offline(silent_noise(asked))
    late = spectrum.lookahead + resynth.lookahead * hop
    assert late == fft
    frames, skip = fft // hop, 3 * fft // hop
    got = spectrum.offline(y)[:, :, skip + frames :]
    wanted = asked[:, :, skip : asked.shape[2] - frames]
    at_hand = convergence_db(got.exp(), wanted.exp())
    assert at_hand < most_db
    for other in (-1, 1):  # a frame off is another sound
        off = got[:, :, 1 + other : got.shape[2] - 1 + other]
        assert convergence_db(off.exp(), wanted[:, :, 1:-1].exp()) > at_hand


@pytest.mark.parametrize(("fft", "hop"), [(512, 128), (512, 64), (1024, 64)])
def test_noise_is_as_loud_as_asked_and_each_stream_s_own(fft: int, hop: int) -> None:
    level, frames = -3.0, 8 * RATE // hop
    asked = torch.full((2, fft + 2, frames), LOG_RANGE[0])
    asked[:, fft // 2 + 1 :] = level
    y = Resynth(fft, hop).offline(asked)
    found = Spectrum(fft, hop, 1e-9).offline(y)[:, 4:-4, 2 * fft // hop :]
    assert abs(0.5 * (2 * found).exp().mean().log() - level) < 0.05
    # Magnitudes of a normal noise: their mean square is twice that of each part.
    spread = found.exp().std() / found.exp().mean()
    assert abs(spread - (4 / np.pi - 1) ** 0.5) < 0.05
    together = torch.corrcoef(torch.cat((y[0], y[1], y[:1, 0].roll(hop, dims=1))))
    assert (together - torch.eye(3)).abs().max() < 0.1
    layer = Resynth(fft, hop)
    other, _ = layer(asked, layer.init_state(2), {"seed": torch.tensor([3.0])})
    assert (other - y).abs().max() > 0.1 * y.abs().max()


def test_nothing_is_nothing() -> None:
    for value in (LOG_RANGE[0], -100.0, float("nan"), -float("inf")):
        y = Resynth(128, 32).offline(torch.full((1, 130, 9), value))
        assert torch.equal(y, torch.zeros(1, 1, 9 * 32))
    loud, most = (Resynth(128, 32).offline(torch.full((1, 130, 9), value))
                  for value in (float("inf"), LOG_RANGE[1]))
    assert torch.equal(loud, most)
    assert most.abs().max() > 1


def walked(levels: np.ndarray) -> np.ndarray:
    """The peak of each bin, as the C runtime looks for it."""
    found, first = np.empty(len(levels), np.int64), 0
    while first < len(levels):
        peak = first
        while peak + 1 < len(levels) and levels[peak + 1] >= levels[peak]:
            peak += 1
        end = peak + 1
        while end < len(levels) and levels[end] < levels[end - 1]:
            end += 1
        found[first:end] = peak
        first = end
    return found


def test_peaks_are_those_of_a_walk() -> None:
    layer, generator = Resynth(128, 32), torch.Generator().manual_seed(0)
    for steps in (2, 4, 1000):
        here = torch.randint(0, steps, (2, 65, 40), generator=generator)
        got = layer._peaks(here)
        for stream in range(2):
            for frame in range(40):
                wanted = walked(here[stream, :, frame].numpy())
                assert np.array_equal(got[stream, :, frame].numpy(), wanted)


@pytest.mark.parametrize("chunks", [[1, 1, 1], [2, 5, 1, 4]])
def test_layers_keep_the_contract(chunks: list[int]) -> None:
    for net in (Spectrum(128, 32), Resynth(128, 16), Sequence(Conv1d(3, 130, 2), Resynth(128, 32))):
        check_streaming(net.double(), chunks, 2, torch.float64)
        check_causal(net, sum(chunks), 1)
        check_reset(net, sum(chunks))
        check_gradients(net, chunks, 2)
    field = Spectrum(128, 32, 1e-15).double()
    check_exact_field(field)
    check_padding(field)


def test_gradients_pass_the_grid_and_phases_have_none() -> None:
    x = torch.full((1, 130, 6), -2.0, requires_grad=True)
    y = Resynth(128, 32).offline(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient[:, :, :-1].abs().amax(dim=1) > 0).all()  # the last is not heard yet
    # exp is its own slope, so moving all bins scales the sound: d(sum of squares) = 2 * itself.
    assert torch.allclose(gradient.sum(), 2 * y.square().sum(), rtol=1e-4)


@pytest.mark.parametrize("words", ["fft=100 must be a power of two", "fft=64 must be",
                                   "hop=100 must be one of 128, 64, 32", "hop=256 must be one of"])
def test_other_sizes_are_refused(words: str) -> None:
    sizes = {"fft=100": (100, 25), "fft=64 m": (64, 16), "hop=100": (512, 100),
             "hop=256": (512, 256)}
    fft, hop = sizes[words[: len(next(key for key in sizes if words.startswith(key)))]]
    for layer in (Spectrum, Resynth):
        with pytest.raises(ValueError, match=words):
            layer(fft, hop)


class Spectral(Model):
    """Each way by itself."""

    family = "spectral"

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        same = Conv1d(1, 1, 1)  # a model has weights
        torch.nn.init.ones_(same.weight)
        torch.nn.init.zeros_(same.bias)  # type: ignore[arg-type]
        self.there, self.back = Sequence(same, Spectrum(256, 64, 1e-3)), Resynth(256, 32)

    def chains(self) -> dict[str, Chain]:
        names = tuple(map(str, range(258)))
        return {"analyse": Chain.of(self.there, inputs=("audio",), outputs=names[:129]),
                "back": Chain.of(self.back, inputs=names, outputs=("audio",),
                                 in_ratio=self.back.hop)}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return (Attribute("seed", 1, 0.0, 0.0, 2.0**24 - 1, "other noise"),)


@pytest.fixture(scope="module", params=TARGETS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target, model = TARGETS[request.param], Spectral().eval().requires_grad_(False)
    path = tmp_path_factory.mktemp("spectral") / f"spectral{target.suffix}"
    target.function(target.writer)(model, path, model.describe("spectral"))
    return path


def test_every_backend_has_the_same_of_numbers_on_the_grid(exported: Path) -> None:
    model, generator = Spectral().eval().requires_grad_(False), torch.Generator().manual_seed(0)
    grid = torch.randint(-5000, 600, (2, 258, 42), generator=generator) / 256
    for method, x, unit in (("back", grid, 1), ("analyse", sound(42 * 64, 2), 64)):
        player = load(exported, batch=2)
        for seed in (0.0, 4.0):
            player.set("seed", [seed])
            player.reset()
            wanted, _ = model.step(method, x, model.zero_state(method, 2),
                                   {"seed": torch.tensor([seed])})
            parts = [player.process(method, np.ascontiguousarray(x[:, :, a * unit : b * unit]))
                     for a, b in ((0, 3), (3, 4), (4, 42))]
            got = np.concatenate(parts, axis=2)
            assert got.shape == wanted.shape
            assert np.abs(got).max() > 0.1
            away = np.abs(got - wanted.numpy()).max() / max(1.0, float(wanted.abs().max()))
            assert away < 1e-5


def test_phases_run_the_same_in_a_script() -> None:
    generator = torch.Generator().manual_seed(0)
    phase = torch.randint(0, 2**32, (2, 65), generator=generator)
    peaks = torch.randint(0, 65, (2, 65, 9), generator=generator)
    step, keeps = (torch.randint(0, n, (2, 65, 9), generator=generator) for n in (2**32, 2))
    got = torch.jit.script(_run_phases)(phase, peaks, step, keeps)
    wanted, now = np.empty(step.shape, np.int64), phase.numpy()
    for frame in range(9):
        now = np.take_along_axis(now, peaks[:, :, frame].numpy(), 1) * keeps[:, :, frame].numpy()
        wanted[:, :, frame] = now = (now + step[:, :, frame].numpy()) % 2**32
    assert np.array_equal(got.numpy(), wanted)
    assert torch.equal(_run_phases(phase, peaks, step, keeps), got)
