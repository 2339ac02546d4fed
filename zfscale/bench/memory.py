"""Peak memory of one contestant in a fresh process: `python -m zfscale.bench.memory NAME SETTINGS` prints bytes.

Every child imports the same and builds its model in the same way. A first call warms up and is not measured; the step
finds its flat vector laid out, and its noise kernel in the cache if the caller has stepped before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import torch

from zfscale.bench.contestants import contestants
from zfscale.bench.settings import Settings
from zfscale.errors import ZfscaleError
from zfscale.metrics import peak_memory as memory

# glibc returns what is freed to the system at once: else holes in its heap, 50 MB one way or the other, are counted.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def peak_of(name: str, settings: Settings) -> int:
    """Bytes at the peak of a process that does `name` and nothing else."""
    own = json.dumps(asdict(settings) | {"against": None})
    command = [sys.executable, "-m", "zfscale.bench.memory", name, own]
    environment = os.environ | ALLOCATOR
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        told = result.stderr.strip().splitlines()
        raise ZfscaleError(f"memory of {name}: {told[-1] if told else f'exit code {result.returncode}'}")
    return int(result.stdout.split()[-1])


def child(name: str, settings: Settings) -> int:
    """What `peak_of` asks of its process."""
    torch.set_num_threads(settings.threads)
    run = contestants(settings, [name])[name]
    run()
    memory.reset_peak()
    for _ in range(2):
        run()
    return memory.peak()


if __name__ == "__main__":
    print(child(sys.argv[1], Settings(**json.loads(sys.argv[2]))))
