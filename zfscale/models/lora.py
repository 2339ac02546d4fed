"""LoRA (Hu et al., ICLR 2022) by the peft library: W x becomes W x + (alpha / rank) B A x; only A and B are trained.

peft's layers are put into the model in place, which stays what transformers knows it as. A is drawn from a seed of
ours: peft draws from the global generator.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zfscale.errors import ModelError

ADAPTER = "default"  # peft's name of the one adapter


def inject(module: Any, rank: int, alpha: float, seed: int) -> Any:
    """Freeze a transformers model and put LoRA into it: in the layers that peft takes for its family, else all linear.

    A is uniform within 1 / sqrt(fan-in), as peft has it (Kaiming with a = sqrt 5), and B is zero: at the start, the
    model computes what it did. No dropout. Returns peft's LoraConfig. Errors: ModelError if there is no such layer.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as OWN

    alpha = int(alpha) if alpha == int(alpha) else alpha  # as others write it
    targets: Any = OWN.get(module.config.model_type, "all-linear")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=targets,
    )
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):  # peft's own draws are thrown away
            warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")  # GPT-2's layers; peft sees to it
            inject_adapter_in_model(config, module, ADAPTER)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"model.train: lora finds no layer of {type(module).__name__} to adapt: {reason}") from error
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".lora_A." in name:
                bound = 1 / math.sqrt(parameter.shape[1])
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
    return config


def save(module: nn.Module, config: Any, out: Path) -> None:
    """Write A and B to a directory that `PeftModel.from_pretrained(base, out)` reads."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    config.save_pretrained(str(out))
    state = get_peft_model_state_dict(module, adapter_name=ADAPTER)
    ours = {f"base_model.model.{key}": value.contiguous() for key, value in state.items()}
    save_file(ours, out / "adapter_model.safetensors", {"format": "pt"})


def base_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """The `state_dict` of the model as it was before `inject`."""
    return {k.replace(".base_layer.", "."): v for k, v in module.state_dict().items() if ".lora_" not in k}
