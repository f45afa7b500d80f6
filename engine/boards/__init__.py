"""What a board is, what a model costs there, and whether it fits."""
