"""What a step minimises: losses, regularisers, discriminators, taught controls."""
