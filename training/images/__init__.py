"""Pictures as a check of what sound is trained with: objectives, games, regularisers, the loop."""
