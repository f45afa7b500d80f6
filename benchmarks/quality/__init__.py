"""How fast training is, and how good what comes out of it."""
