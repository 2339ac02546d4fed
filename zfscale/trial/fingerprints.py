"""What trials read, as content hashes: base weights, image processor or tokenizer, data, and code of the user's own.

A hash is the SHA-256 of numbers, names and settings as they are in memory, so it is the same wherever they were read
from, on any machine. Where a thing lies and who wrote it down is no part of it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zfscale import registry
from zfscale.results.inputs import SHOWN, Known, OtherInputs, Prints, as_json, from_json
from zfscale.spec import TrialSpec
from zfscale.spec.own import own_paths, unlike
from zfscale.trial.inputs import Inputs, data_key, keys_of, model_key

BASE, SETTINGS, PROCESSOR, TOKENIZER = "base weights", "model configuration", "image processor", "tokenizer"
TRAIN, TEST, CODE = "training data", "test data", "code"
PARTS = {"weights": BASE, "pixels": PROCESSOR, "tokenizer": TOKENIZER}  # attributes of a base
PLACE = {"name", "_name_or_path", "transformers_version"}  # of a base or its configuration: where it came from


def prints_of(specs: Iterable[TrialSpec], inputs: Inputs) -> Known:
    """Hash everything that the trials read, each thing once.

    Errors: what the import of the user's code raises; OtherInputs, where a fork reads something else than its parent.
    """
    found: Known = {}
    specs = unlike(specs)
    for spec in specs:
        base, data = inputs.of(spec)
        for key, hashed, thing in ((model_key(spec), of_base, base), (data_key(spec), of_data, data)):
            if key not in found:
                found[key] = hashed(thing)
        for path in own_paths(spec):
            if path not in found:
                found[path] = {f"{CODE} of {path}": of_code(path)}
    for spec in specs:
        if start := inputs.start(spec):
            same(spec, start.inputs, found)
    return found


def same(fork: TrialSpec, parent: str | None, known: Known) -> None:
    """See that a fork reads what its parent has read, by the column `inputs` of that. Errors: OtherInputs."""
    for part, both in _changed(fork, parent, known):
        if fork.fork is not None:
            why = f"{part} changed since {fork.fork.trial}, whose steps would be shared: {both}"
            raise OtherInputs(f"fork.trial: {why}; put back what it was made of")


def unchanged(row: Mapping[str, Any], spec: TrialSpec, inputs: Inputs, tested: bool) -> None:
    """See that a replay reads what the trial of a row of `trials` has read, test data only if they are `tested`.

    Errors: OtherInputs, with all that has changed. A row of a version that had no column `inputs` tells of nothing.
    """
    base, data = inputs.of(spec)
    known = {model_key(spec): of_base(base), data_key(spec): of_data(data)}
    known |= {path: {f"{CODE} of {path}": of_code(path)} for path in own_paths(spec, objectives=False)}
    changed = _changed(spec, row["inputs"], known)
    lines = [f"{part} changed since: {both}" for part, both in changed if tested or not part.startswith(TEST)]
    if lines:
        raise OtherInputs(f"trial {row['trial_id']}: {'; '.join(lines)}; put back what it was made of")


def _changed(spec: TrialSpec, then: str | None, known: Known) -> list[tuple[str, str]]:
    """The parts of what a trial reads that are not as a column `inputs` has them, each with what it was and is."""
    before, now = from_json(then), from_json(as_json(keys_of(spec), known))
    parts = [part for part in sorted(before.keys() & now.keys()) if before[part] != now[part]]
    return [(part, f"{before[part][:SHOWN]} then, {now[part][:SHOWN]} now (SHA-256)") for part in parts]


def of_base(base: Any) -> Prints:
    """The hashes of a pretrained model as a family loads it."""
    whole = vars(base) if hasattr(base, "__dict__") else {"base": base}
    whole = {key: part for key, part in whole.items() if key not in PLACE}
    parts = {PARTS[key]: whole.pop(key) for key in PARTS if key in whole}
    rest = SETTINGS if BASE in parts else BASE
    return {what: digest(part) for what, part in {**parts, rest: whole}.items()}


def of_data(data: Any) -> Prints:
    """The hashes of the data of a stream; images that are held out for validation are among its training data."""
    if (tasks := getattr(data, "tasks", None)) is None:
        return _splits(data, "")
    found: Prints = {}
    for task in tasks:
        found |= _splits(task, f" of {task.name}")
    if upstream := getattr(data, "upstream", None):  # which may have the name of a domain
        found |= _splits(upstream, f" of upstream {upstream.name}")
    return found


def of_code(path: str) -> str:
    """The hash of the module of "package.module:Name", its comments and layout left out; not of what it imports."""
    registry.load_user(path)
    file = getattr(sys.modules[path.partition(":")[0]], "__file__", None)
    if file is None:  # a part of Python itself
        return digest(path)
    content = Path(file).read_bytes()
    return digest(ast.unparse(ast.parse(content)) if file.endswith(".py") else content)


def digest(value: Any) -> str:
    """SHA-256, in hex, of plain data: numbers, texts, arrays, what holds them, and objects by their attributes.

    >>> digest({"a": 1, "b": [2.0]}) == digest({"b": [2.0], "a": 1}), digest(1) == digest(1.0)
    (True, False)
    """
    sha = hashlib.sha256()
    _add(sha, value)
    return sha.hexdigest()


def _splits(part: Any, of: str) -> Prints:
    if not hasattr(part, "__dict__"):
        return {f"data{of}": digest(part)}
    test = {k: v for k, v in vars(part).items() if k.startswith(("test", "held_out"))}
    train = {k: v for k, v in vars(part).items() if k not in test}
    return {TRAIN + of: digest(train), TEST + of: digest(test)}


def _add(sha: Any, value: Any) -> None:
    """Feed a value to a hash, led by its kind and length, so that no two values are the same bytes."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous().view(torch.uint8).numpy() if value.ndim else value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        sha.update(f"array {value.dtype.str} {value.shape}\n".encode())
        sha.update(np.ascontiguousarray(value).reshape(-1).data.cast("B") if value.size else b"")
    elif value is None or isinstance(value, (bool, int, float, complex, range)):
        sha.update(f"{type(value).__name__} {value!r}\n".encode())
    elif isinstance(value, (str, bytes)):
        data = value.encode(errors="surrogatepass") if isinstance(value, str) else value
        sha.update(f"{type(value).__name__} {len(data)}\n".encode() + data)
    elif isinstance(value, Mapping):
        sha.update(f"mapping {len(value)}\n".encode())
        for key in sorted(value, key=repr):
            _add(sha, key)
            _add(sha, value[key])
    elif isinstance(value, (set, frozenset)):
        _add(sha, sorted(value, key=repr))
    elif isinstance(value, (list, tuple)):
        sha.update(f"list {len(value)}\n".encode())
        for item in value:
            _add(sha, item)
    else:
        _add_object(sha, value)


def _add_object(sha: Any, value: Any) -> None:
    """A configuration of transformers' by what is not a default of it, since another version may have more of those;
    a function or class by its name; another object by its attributes, or by what a copy of it would be made of.
    """
    if hasattr(value, "__qualname__"):
        _add(sha, f"{value.__module__}.{value.__qualname__}")
    elif hasattr(value, "to_json_string"):
        settings = json.loads(value.to_json_string())
        _add(sha, _without_place(settings))
    elif hasattr(value, "__dict__") and not callable(value):
        _add(sha, [type(value).__qualname__, _without_place(vars(value))])
    else:
        made = value.__reduce_ex__(4)
        parts = [made] if isinstance(made, str) else [*made[1:3], *map(list, filter(None, made[3:]))]
        parts = [_without_place(part) for part in parts]
        _add(sha, [type(value).__qualname__, parts])


def _without_place(part: Any) -> Any:
    return {k: v for k, v in part.items() if k not in PLACE} if isinstance(part, dict) else part
