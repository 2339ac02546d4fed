"""How an image looks, by formulas: its pixels, its colours, and the directions of its edges.

All take uint8 [N, 3, 28, 28] and give float32 [N, D], of length 1 (of 0 where nothing is seen, as of edges in a flat
picture), so that the inner product of two is their cosine.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

COLOUR = 2.0  # times what differences of colour count by pixels
SHADES = 5  # of red, of green and of blue
CELL, DIRECTIONS = 7, 9  # pixels a side, and of an edge, over half a turn
CLIPPED = 0.2  # at most, of a block's direction


def pixels(images: torch.Tensor) -> torch.Tensor:
    """D = 3 * 28 * 28: brightness, and two differences of colour, enlarged."""
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    axes = F.normalize(axes) * torch.tensor([1.0, COLOUR, COLOUR])[:, None]
    return F.normalize(torch.einsum("ij,njhw->nihw", axes, images.float()).flatten(1))


def colours(images: torch.Tensor) -> torch.Tensor:
    """D = SHADES^3: the square root of the share of each colour (a histogram, Swain and Ballard, IJCV 1991).

    A pixel between two shades counts for both, so that close colours are alike.
    """
    x = images.float().flatten(2) / 255 * (SHADES - 1)
    red, green, blue = (1 - (x[..., None] - torch.arange(SHADES)).abs()).clamp(min=0).unbind(1)  # [N, 784, SHADES]
    return torch.einsum("npr,npg,npb->nrgb", red, green, blue).flatten(1).div(x.shape[2]).sqrt()


def edges(images: torch.Tensor) -> torch.Tensor:
    """D = 9 * 4 * DIRECTIONS: histograms of oriented gradients (Dalal and Triggs, CVPR 2005).

    Of 2 x 2 cells at each of 3 x 3 places. NOTE: a gradient counts for its own cell alone, not for its neighbours, and
    after clipping all blocks are normalised together, not each by itself.
    """
    x = F.pad(images.float(), (1, 1, 1, 1), mode="replicate")
    across, down = x[..., 1:-1, 2:] - x[..., 1:-1, :-2], x[..., 2:, 1:-1] - x[..., :-2, 1:-1]
    strongest = (across.square() + down.square()).argmax(1, keepdim=True)
    across, down = across.gather(1, strongest), down.gather(1, strongest)  # [N, 1, 28, 28], of red, green or blue
    turned = torch.atan2(down, across).remainder(math.pi) / math.pi * DIRECTIONS
    away = (turned - torch.arange(DIRECTIONS).view(1, -1, 1, 1)).abs()
    shares = (1 - torch.minimum(away, DIRECTIONS - away)).clamp(min=0)
    cells = F.avg_pool2d(shares * (across.square() + down.square()).sqrt(), CELL)
    blocks = F.unfold(cells, 2).transpose(1, 2)  # [N, 9, 4 * DIRECTIONS]
    return F.normalize((blocks / (blocks.norm(dim=2, keepdim=True) + 1)).clamp(max=CLIPPED).flatten(1))
