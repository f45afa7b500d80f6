"""What harmonics are taught: levels of a sound at multiples of its pitch."""

from __future__ import annotations

import torch

from tests.engine.models.test_raw_vae_tones import make, tone
from training.objectives.tones import Heard, tone_loss, tones_of


def loss_of(made, x: torch.Tensor) -> torch.Tensor:
    with tones_of(made) as heard:
        made.draws(made.distribution(x)[0], 2)
    assert len(heard.inputs) == 1, "harmonics play once for both draws"
    found = tone_loss(heard, made, x)
    assert found is not None
    return found


def test_levels_are_learnt_at_once() -> None:
    """In nepers: from far away to next to nothing, by the envelope's layers alone."""
    made, x = make(harmonics=12), tone(220.0)
    first = float(loss_of(made, x))
    assert first > 0.5
    adam = torch.optim.Adam(made.tones.envelope.parameters(), 0.02)
    for _ in range(80):
        adam.zero_grad()
        loss_of(made, x).backward()
        adam.step()
    assert float(loss_of(made, x)) < 0.25 * first


def test_a_wrong_level_costs_its_nepers() -> None:
    """With the levels that the sound has, the loss is small; all of them twice as strong cost
    ln 2 more, and so does half."""
    made, x = make(harmonics=12), tone(220.0)
    with tones_of(made) as heard:
        made.reconstruct(made.distribution(x)[0])
    layer = heard.layers[0]
    spots = (torch.arange(64) + 0.5) * (8000 / 64)
    right = (0.2 * 220 / spots).log()  # partial k has 0.2 / k
    rows = heard.inputs[0].detach().clone()
    found = []
    for change in (0.0, 0.6931, -0.6931):
        rows[:, 2:] = right[None, :, None] + change
        found.append(float(tone_loss(Heard([layer], [rows]), made, x)))
    assert found[0] < 0.15
    assert all(0.55 < loss < 0.85 for loss in found[1:]), found


def test_unclear_frames_and_models_without_harmonics_teach_nothing() -> None:
    made = make(harmonics=12)
    assert float(loss_of(made, 0.1 * torch.randn(1, 1, 16000))) == 0
    plain = make()
    with tones_of(plain) as heard:
        plain.reconstruct(torch.zeros(1, 3, 20))
    assert tone_loss(heard, plain, tone(220.0)) is None
