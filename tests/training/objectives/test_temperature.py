"""What `temperature` adds: nothing at 0, and at 1 a share of what latents vary by."""

from __future__ import annotations

import pytest
import torch

from engine.models.raw_vae import RawVAE
from engine.models.registry import build
from training.objectives.autoencoder import AutoencoderObjective
from training.objectives.latents import playable
from training.run.config import training_config

SMALL = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,),
         "sample_rate_hz": 8000}


def both(spread: float = 0.25, **more: object) -> tuple[RawVAE, RawVAE, torch.Tensor]:
    """A model saved without and with such noise, and sound."""
    torch.manual_seed(0)
    model, crops = build("raw_vae", {**SMALL, **more}), 0.3 * torch.randn(4, 1, 8000)
    with torch.no_grad():
        model.encoder.layers[-1].weight[:3] *= 20  # latents that carry something
        model.encoder.layers[-1].bias[3 + len(model.controls) - len(model.tracked):] -= 3
    plain, wide = (playable(model, crops, spread=s) for s in (0.0, spread))
    assert isinstance(plain, RawVAE)
    assert isinstance(wide, RawVAE)
    return plain, wide, crops


@pytest.mark.parametrize("more", [{}, {"harmonics": 5, "controls": ("loudness",)}])
def test_without_temperature_nothing_changes(more: dict[str, object]) -> None:
    plain, wide, crops = both(**more)
    assert not torch.equal(plain.encoder.layers[-1].bias, wide.encoder.layers[-1].bias)
    for method in ("encode", "forward"):
        assert torch.equal(plain.offline(method, crops), wide.offline(method, crops))


def test_at_one_latents_move_by_a_share_of_their_spread() -> None:
    plain, wide, crops = both()
    for model, low, high in ((plain, 0.0, 0.15), (wide, 0.24, 0.26)):
        mean, log_std = model.distribution(crops)
        share = log_std.exp().square().mean((0, 2)).sqrt() / mean.std((0, 2))
        assert ((share > low) & (share < high)).all(), share
    assert "clearly heard" in wide.attributes["temperature"].help
    assert "unsure" in plain.attributes["temperature"].help
    still, moved = (wide.offline("forward", crops, temperature=torch.tensor([t]))
                    for t in (0.0, 1.0))
    own = plain.offline("forward", crops, temperature=torch.tensor([1.0]))
    assert (moved - still).square().mean() > 4 * (own - still).square().mean()


def test_training_goes_on_with_the_posterior_as_it_was() -> None:
    plain, wide, _ = both()
    config = training_config({"steps": 1, "start_from": "somewhere", "descriptor_weight": 0.0},
                             "raw_vae")
    AutoencoderObjective(wide, config)
    assert torch.allclose(wide.encoder.layers[-1].bias, plain.encoder.layers[-1].bias, atol=1e-3)
    assert wide.latents == ()
