"""The whole `tudor` command with the trial's family: `python -m scripts.stroke_clips train ...`."""

from __future__ import annotations

from engine.models import registry as families
from engine.models.registry import Family
from nn_tudor.cli import main
from scripts.stroke_clips.model import ClipConfig, StrokeClip
from scripts.stroke_clips.objective import ClipGame
from training.objectives import registry as objectives


def register() -> None:
    """Make family and objective known."""
    families.register("stroke_clip", Family(
        ClipConfig, StrokeClip, "a trial: strokes by whole clips", "clip_game", "hits"))
    objectives.register("clip_game", ClipGame)


if __name__ == "__main__":
    register()
    main()
