"""What a model learns from and is measured on: inputs, targets and, where examples have classes, labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Examples:
    """The examples of a domain: inputs [N, ...] and targets [N, ...], of which M are held out.

    `bytes_per_token` turns a loss a token into bits a byte of text; None where examples are no text. Where examples
    have classes, `train_labels` [N] and `held_out_labels` [M] name them; no loss looks at these.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray
    bytes_per_token: float | None = None
    train_labels: np.ndarray | None = None
    held_out_labels: np.ndarray | None = None
