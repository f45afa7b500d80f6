"""What sound is trained with, on pictures: thresholds that a broken loss does not reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rich.console import Console

from engine.errors import ConfigError
from tests.training.images.image_helpers import small_set, standard, trained
from training.images import measures
from training.images.measures import Standard
from training.images.networks import Autoencoder, ClassNorm, Generator
from training.images.objectives import Code, with_mismatched
from training.images.recipes import RECIPES, prepared, run
from training.objectives.gan_losses import GAN_OBJECTIVES, mode_seeking

FAST = ("learning_rate=4e-3", "warmup_steps=20", "regulariser.warmup_steps=50")


def coded(name: str, steps: int, *assignments: str, by: Standard | None = None
          ) -> measures.Figures:
    """Figures of an autoencoder."""
    by = by or standard()
    found, objective = trained(name, steps, *FAST, *assignments, side=by.pictures.side)
    assert isinstance(found.model, Autoencoder)
    assert isinstance(objective, Code)
    return measures.of_autoencoder(found.model, objective, by)


def test_the_classifier_learns() -> None:
    found = measures.of_classifier(standard().judge, small_set())
    assert found["accuracy"] > 0.82


def test_a_vae_beats_the_mean_picture() -> None:
    """By more than 15 % of what there is between it and the entropy of grey levels."""
    by = standard(16, 1)  # no samples are judged: its classifier has learnt nothing
    baselines = measures.baselines(by)
    floor, ceiling = baselines["untrained"]["nats"], baselines["real"]["cross_entropy"]
    found = coded("vae", 300, by=by)
    assert found["nats"] == pytest.approx(found["cross_entropy"] + found["kl"])
    assert ceiling < found["nats"] < floor - 0.15 * (floor - ceiling)
    assert found["kl"] > 2
    assert found["mmd"] < 0.02


def test_a_wae_keeps_to_its_prior_and_reconstructs_better_than_a_vae() -> None:
    vae = coded("vae", 300)
    loose = coded("wae", 300, "regulariser.weight=0.0")
    for kernel, prior in (("imq", "gaussian"), ("rbf", "mixture")):
        held = coded("wae", 300, f"regulariser.kernel={kernel}", f"regulariser.prior={prior}",
                     "regulariser.weight=1.0")
        assert held["mmd"] < 0.03
        assert held["cross_entropy"] < vae["cross_entropy"] - 1
    assert loose["mmd"] > 0.06


def test_a_conditional_game_makes_what_is_asked_for_and_seeking_modes_more_of_it() -> None:
    figures = []
    for weight in (0.0, 0.1):
        model = trained("cgan", 150, f"mode_seeking={weight}")[0].model
        assert isinstance(model, Generator)
        figures.append(measures.of_generator(model, standard()))
    plain, seeking = figures
    assert plain["accuracy"] > 0.6  # 0.2 by chance
    assert seeking["accuracy"] > 0.4
    assert plain["frechet"] < 0.4
    assert seeking["recall"] > plain["recall"] + 0.2


def test_discriminators_are_shown_real_pictures_of_other_classes() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])
    real = labels.float()[:, None, None, None].expand(-1, 1, 4, 4)
    made = torch.full((8, 1, 4, 4), -1.0, requires_grad=True)
    shown = with_mismatched(made, real, labels, 0.5)
    assert shown[:, 0, 0, 0].tolist() == [1, -1, 2, -1, 0, -1, 0, -1]  # the next of another class
    shown.sum().backward()
    assert made.grad is not None
    assert made.grad[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert torch.equal(with_mismatched(made, real, labels, 0.0), made)
    assert torch.equal(with_mismatched(made, real, torch.zeros(8).long(), 0.5), made)


def test_a_class_has_a_scale_and_a_shift_of_its_own() -> None:
    norm, x = ClassNorm(3, 2), torch.randn(6, 3, 4, 4)
    told = torch.eye(2)[torch.arange(6) % 2]
    before = norm(x, told)
    assert torch.allclose(before, ClassNorm(3, 0)(x, None), atol=1e-6)
    assert norm.asked is not None
    with torch.no_grad():
        norm.asked.weight[:, 1] += 1
    after = norm(x, told)
    assert torch.equal(after[::2], before[::2])
    assert torch.allclose(after[1::2], 2 * before[1::2] + 1, atol=1e-6)


@pytest.mark.parametrize("kind", GAN_OBJECTIVES)
def test_each_kind_of_game_moves_both_sides(kind: str) -> None:
    """With the penalty on slopes; the generator without classes."""
    objective = prepared("dcgan", small_set(), 0, None, 3, [
        f"adversarial.objective={kind}", "adversarial.r1_weight=1.0", "adversarial.r1_steps=2",
        "adversarial.discriminator_steps=2"])
    networks = objective.model, objective.adversary.networks
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    found = run("dcgan", objective, small_set(), Console(quiet=True))
    assert found.steps == 3
    assert objective.adversary.steps == 6
    for network, weights in zip(networks, before, strict=True):
        for old, new in zip(weights, network.parameters(), strict=True):
            assert torch.isfinite(new).all()
            # The hinge pulls the bias of a score up and down alike where all lie within 1.
            assert old.dim() < 2 or not torch.equal(old, new)


def test_the_same_seed_is_the_same_training() -> None:
    one, two, other = (trained("vae", 20, seed=seed)[0].model.state_dict() for seed in (0, 0, 1))
    name = "decoder.0.weight"
    assert torch.equal(one[name], two[name])
    assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize(("name", "text", "said"), [
    ("vae", "regulariser.wieght=1", "unknown key"),
    ("wae", "regulariser.kernel=laplace", "kernel"),
    ("cgan", "adversarial.objective=wasserstein", "objective"),
    ("cgan", "adversarial.discriminators=[\"scales\"]", "unknown discriminator"),
    ("vae", "batch_size=0", "batch_size"),
])
def test_a_wrong_setting_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prepared(name, small_set(), 0, None, 1, [text])


def test_all_recipes_can_be_built() -> None:
    for name in RECIPES:
        assert prepared(name, small_set(), 0, None, 1, []).model.parameter_count > 1000


def test_mode_seeking_falls_with_distance() -> None:
    one = torch.zeros(2, 1, 4, 4)
    assert float(mode_seeking(one, one)) == pytest.approx(100)
    assert float(mode_seeking(one, one + 0.99)) == pytest.approx(1)


def test_inception_is_one_to_the_number_of_classes() -> None:
    assert measures.inception(np.full((50, 5), 0.2)) == pytest.approx(1)
    assert measures.inception(np.eye(5)[np.arange(50) % 5]) == pytest.approx(5, rel=1e-6)
    assert measures.inception(np.eye(5)[np.zeros(50, int)]) == pytest.approx(1)


def test_real_pictures_pass_and_loose_pixels_do_not() -> None:
    found = measures.baselines(standard())
    real, loose = found["real"], found["untrained"]
    assert real["frechet"] < 0.03 < loose["frechet"]
    assert real["recall"] > 0.85
    assert real["precision"] > 0.85 > loose["precision"]
    assert real["inception"] > loose["inception"]
    assert real["mmd"] < 1e-3
    assert loose["accuracy"] < 0.3 < real["accuracy"]
