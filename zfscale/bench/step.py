"""`zfscale bench step`: what a zeroth-order step costs over its bare forwards, and over the steps that others take."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from zfscale.bench.contestants import CLASSES, DEVICE, EPS, LR, Run, Step, contestants, largest_leaf
from zfscale.bench.memory import peak_of
from zfscale.bench.settings import Settings

CPUINFO = Path("/proc/cpuinfo")


def measure(s: Settings) -> dict[str, Any]:
    """Times, then memory; the keys are those that `--json` prints. Errors: ZfscaleError."""
    names = ["forwards", *(["forwards_fp32"] if s.precision != "fp32" else []), "step", "fo_sgd", *s.peers]
    names += ["step_anew"] if s.trained == "copy" else []
    with _threads(s.threads), torch.random.fork_rng(devices=[]):  # infty seeds the global generator
        runs = contestants(s, names)
        times = interleaved(runs, s.repeats)
    step = runs["step"]
    assert isinstance(step, Step)
    leaf, parameters = largest_leaf(step.leaves), step.leaves.total
    del runs, step
    sizes = {name: peak_of(name, s) for name in ("forwards", "step", "fo_sgd")}
    return {
        "settings": _settings(s, parameters),
        **ratios(times, s.peers),
        "peak_memory_ratio": (sizes["step"] - leaf) / sizes["forwards"],
        "memory": {
            "inference_bytes": sizes["forwards"],
            "step_bytes": sizes["step"],
            "fo_sgd_bytes": sizes["fo_sgd"],
            "largest_leaf_bytes": leaf,
        },
    }


def interleaved(runs: dict[str, Run], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, in rounds of all, so that a slow spell of the machine hits all; the first round is dropped."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if DEVICE == "cuda":
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - began)
    return {name: values[1:] for name, values in times.items()}


def ratios(times: dict[str, list[float]], peers: tuple[str, ...]) -> dict[str, Any]:
    """Medians and their quotients; what runs in float32 is held against forwards in float32."""
    seconds = {name: statistics.median(values) for name, values in times.items()}
    step, fp32 = seconds["step"], seconds.get("forwards_fp32", seconds["forwards"])
    against = {
        name: {"seconds": seconds[name], "speedup": seconds[name] / step, "ratio_to_forwards": seconds[name] / fp32}
        for name in peers
    }
    return {
        "seconds": seconds,
        "spread": {name: {"min": min(values), "max": max(values)} for name, values in times.items()},
        "ratio_to_forwards": step / seconds["forwards"],
        "fo_ratio_to_forwards": seconds["fo_sgd"] / fp32,
        "against": against,
    }


def report(s: Settings, as_json: bool) -> str:
    """`measure` as JSON or as a table."""
    found = measure(s)
    return json.dumps(found, indent=2) if as_json else table(found)


def table(found: dict[str, Any]) -> str:
    """The same, to be read."""
    s, memory, seconds = found["settings"], found["memory"], found["seconds"]
    shown = {"step": found["ratio_to_forwards"], "fo_sgd": found["fo_ratio_to_forwards"]}
    shown |= {name: peer["ratio_to_forwards"] for name, peer in found["against"].items()}
    if "step_anew" in seconds:
        shown["step_anew"] = seconds["step_anew"] / seconds["forwards"]
    gpu = f"{s['gpu']}, " if s["gpu"] else ""
    rows = [
        f"{s['model']}, {s['parameters']:,} parameters, batch of {s['batch_size']}, {s['precision']}"
        f" (peers: {s['peer_precision']}), {s['noise']} noise",
        f"{s['optimizer']}, {s['forwards']} forwards a step; {gpu}{s['threads']} threads of {s['cpu']},"
        f" torch {s['torch']}",
        "",
        f"{'':14}{'seconds':>9}{'min':>9}{'max':>9}{'/ forwards':>12}{'/ step':>9}",
    ]
    for name, median in seconds.items():
        spread, ratio = found["spread"][name], f"{shown[name]:.3f}" if name in shown else ""
        speed = f"{median / seconds['step']:.2f}" if name in (*found["against"], "fo_sgd") else ""
        rows.append(f"{name:14}{median:9.4f}{spread['min']:9.4f}{spread['max']:9.4f}{ratio:>12}{speed:>9}")
    mib = {name.removesuffix("_bytes"): f"{size / 2**20:.1f}" for name, size in memory.items()}
    told = ", ".join(f"{name} {size}" for name, size in mib.items())
    return "\n".join([*rows, "", f"peak memory, MiB: {told}", f"peak memory ratio: {found['peak_memory_ratio']:.3f}"])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settings(s: Settings, parameters: int) -> dict[str, Any]:
    return asdict(s) | {
        "against": list(s.peers),
        "forwards": s.forwards,
        "peer_precision": "fp32",
        "parameters": parameters,
        "classes": CLASSES,
        "lr": LR,
        "eps": EPS,
        "device": DEVICE,
        "gpu": torch.cuda.get_device_name() if DEVICE == "cuda" else None,
        "cpu": _cpu(),
        "torch": torch.__version__,
        "infty": importlib.metadata.version("infty") if "infty" in s.peers else None,
    }


def _cpu() -> str:
    for row in CPUINFO.read_text().splitlines() if CPUINFO.exists() else []:
        if row.startswith("model name"):
            return row.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
