"""The files for `ray up` pass Ray's own checks, and what they run on the machines is sound."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from programs import REPOSITORY
from ray.autoscaler._private.util import prepare_config, validate_config

FILES = {name: REPOSITORY / f"cluster/ray/{name}.yaml" for name in ("onprem", "aws", "gcp")}
every = pytest.mark.parametrize("name", FILES)
COMMANDS = ("setup_commands", "head_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
SPOT = {"aws": ("InstanceMarketOptions", "MarketType", "spot"), "gcp": ("scheduling", "provisioningModel", "SPOT")}


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(FILES[name].read_text())
    return config


@every
def test_ray_accepts_the_file(name: str) -> None:
    config = prepare_config(read(name))
    validate_config(config)
    assert config["cluster_name"] == "zfscale"
    assert config["head_node_type"] in config["available_node_types"]


@every
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_worker": 2}, "'max_worker' was unexpected"),
        ({"auth": {"ssh_usr": "ubuntu"}}, "'ssh_usr' was unexpected"),
        ({"idle_timeout_minutes": "5"}, "'5' is not of type 'number'"),
        ({"rsync_exclude": "__pycache__"}, "is not of type 'array'"),
    ],
)
def test_ray_refuses_a_broken_file(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=message):
        validate_config(prepare_config(read(name) | change))


@pytest.mark.parametrize("name", SPOT)
def test_ray_refuses_a_broken_node_type(name: str) -> None:
    config = read(name)
    config["available_node_types"]["cpu"]["min_worker"] = 0
    with pytest.raises(jsonschema.ValidationError, match="'min_worker' was unexpected"):
        validate_config(prepare_config(config))
    with pytest.raises(ValueError, match="head_node_type"):
        validate_config(prepare_config(read(name) | {"head_node_type": "haed"}) | {"head_node_type": "haed"})


@pytest.mark.parametrize("name", SPOT)
def test_workers_are_spot_machines_and_come_from_none(name: str) -> None:
    block, key, value = SPOT[name]
    types = prepare_config(read(name))["available_node_types"]
    assert {kind: t["resources"].get("GPU", 0) for kind, t in types.items()} == {"head": 0, "cpu": 0, "gpu": 1}
    assert types["head"]["resources"]["CPU"] == 0, "no trial may run beside the driver"
    for kind, node in types.items():
        assert node["node_config"].get(block, {}).get(key) == (None if kind == "head" else value)
        assert node["min_workers"] == 0
        assert (node["max_workers"] > 0) is (kind != "head")


@every
def test_the_code_and_the_token_reach_every_machine(name: str) -> None:
    mounts = read(name)["file_mounts"]
    assert mounts.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert set(mounts.values()) >= {"zfscale", "sweeps", "pyproject.toml", "requirements.lock"}
    for remote, local in mounts.items():
        assert remote == f"~/zfscale/{local}"
        assert (REPOSITORY / local).exists()


@every
def test_results_lie_on_shared_storage(name: str) -> None:
    shared = [command for command in read(name)["setup_commands"] if "mountpoint -q /results ||" in command]
    assert len(shared) == 1
    assert ("mount -t nfs" in shared[0]) is (name != "onprem"), "on machines of one's own the mount is only checked"


@every
def test_commands_are_bash_and_files_differ_only_where_machines_do(name: str) -> None:
    config = read(name)
    for command in [command for key in COMMANDS for command in config.get(key, [])]:
        assert subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0, command
    for key in ("file_mounts", "rsync_exclude", "head_start_ray_commands", "worker_start_ray_commands"):
        assert config[key] == read("aws")[key]


@every
def test_setting_up_twice_changes_nothing_more(name: str, tmp_path: Path) -> None:
    """`ray up` runs the commands again on a machine that has been set up."""
    command = next(command for command in read(name)["setup_commands"] if ".bashrc" in command)
    for _ in range(2):
        subprocess.run(["bash", "-c", command], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=True)
    ran = 'source ~/.bashrc; echo "$RAY_AUTH_MODE ${PATH%%:*}"; grep -c . ~/.bashrc'
    out = subprocess.check_output(["bash", "-c", ran], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, text=True)
    assert out == f"token {tmp_path}/zfscale/venv/bin\n1\n"


CLOUDS = {"aws": "boto3", "gcp": "google-api-python-client"}


@pytest.mark.parametrize("name", CLOUDS)
def test_what_speaks_to_the_cloud_is_an_extra_whose_versions_are_pinned(name: str) -> None:
    """On the head and, for `ray up` itself, on the user's machine; one pin that the rest can live with."""
    assert f"venv/bin/pip install --quiet -c requirements.lock -e '.[{name}]'" in str(read(name)["head_setup_commands"])
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {re.split(r"[\[<>=]", requirement)[0] for requirement in extras[name]}
    lock = dict(re.findall(r"^([\w.-]+)==([\d.]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE))
    assert {"ray", CLOUDS[name]} <= asked <= set(lock)
    assert lock["python-dateutil"].startswith("2."), "boto3 needs one older than 3"
