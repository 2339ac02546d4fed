"""Models: encoders, adapters, heads, the embedded base models and the engine that runs them."""
