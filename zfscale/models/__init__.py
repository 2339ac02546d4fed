"""Models: encoders, adapters, heads, language and masked image models, and the embedded base models."""
