"""Notes: scores that come with the project, files of notes, and what a model is told of them."""
