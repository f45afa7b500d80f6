"""The whole `tudor` command with the trial's family: `python -m scripts.loop_tokens train ...`."""

from __future__ import annotations

from engine.models import registry as families
from engine.models.registry import Family, with_coder
from nn_tudor.cli import main
from scripts.loop_tokens.model import LoopTokens, TokensConfig
from scripts.loop_tokens.objective import TokenObjective
from training.objectives import registry as objectives


def register() -> None:
    """Make family and objective known."""
    families.register("loop_tokens", Family(
        TokensConfig, with_coder(LoopTokens), "a trial: loops by tokens", "loop_tokens", "loops"))
    objectives.register("loop_tokens", TokenObjective)


if __name__ == "__main__":
    register()
    main()
