"""A prior over tokens in place of a flow: a trial beside `scripts/loop_trials.py`, no family."""
