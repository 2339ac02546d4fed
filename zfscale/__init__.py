"""zfscale: sweeps over continual-learning trials that may only run forward."""

__version__ = "0.1.0"
