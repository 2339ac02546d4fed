"""Zeroth-order optimization: Algorithm 1 of ZeroFlow (arXiv 2501.01045) on counter-based noise."""
