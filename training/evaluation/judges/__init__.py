"""How good a model is, by what it is for: a judge for each role, one table of them."""
