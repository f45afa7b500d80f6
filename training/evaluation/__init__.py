"""How good a model is: measures, baselines, reports."""
