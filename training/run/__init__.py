"""One run from its settings to its weights: configuration, loop, checkpoints, preflight."""
