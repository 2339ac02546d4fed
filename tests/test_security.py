"""What the package must not do: unpickle, run code from a hub, read weights that are code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "zfscale"
FILES = sorted(PACKAGE.rglob("*.py"))
UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "jsonpickle"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
CALLS = {"torch.load", "pandas.read_pickle", "pd.read_pickle", "yaml.unsafe_load", "Tuner.restore"}


def findings(source: str) -> Iterator[str]:
    """What of a module's source is not allowed."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] in UNPICKLERS:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from of_call(node)


def of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in BUILT_IN or any(name == call or name.endswith(f".{call}") for call in CALLS):
        yield name
    if given.get("allow_pickle", "False") != "False" or given.get("weights_only", "True") != "True":
        yield f"{name}({given})"
    if given.get("trust_remote_code", "False") != "False":
        yield f"{name}: trust_remote_code"
    if name.endswith(".from_pretrained") and "trust_remote_code" not in given:
        yield f"{name} without trust_remote_code=False"
    if name == "yaml.load" and "Loader" not in given and len(node.args) < 2:
        yield "yaml.load without a loader"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_module_runs_what_it_reads(file):
    assert list(findings(file.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "torch.load(f)",
        "numpy.load(f, allow_pickle=True)",
        "eval(text)",
        "AutoModel.from_pretrained(name)",
        "AutoModel.from_pretrained(name, trust_remote_code=asked)",
        "datasets.load_dataset(name, trust_remote_code=True)",
        "tune.Tuner.restore(path, f)",
        "yaml.load(text)",
    ],
)
def test_the_check_finds_what_it_looks_for(source):
    assert list(findings(source))


@pytest.mark.parametrize(
    "source", ["np.load(f)", "AutoModel.from_pretrained(n, trust_remote_code=False)", "model.eval()", "json.loads(t)"]
)
def test_the_check_lets_the_rest_pass(source):
    assert list(findings(source)) == []
