"""Benchmarks of the product's own path on this machine: `zfscale bench step`."""
