"""Texts of a sweep file: places for results, and no secrets."""

from __future__ import annotations

import os

import pytest

from zfscale.spec.text import no_secret, results_place

TOKENS = [
    "https://user:hunter22hunter22@host/data",
    "hf_" + "aB3" * 12,
    "ghp_" + "aB3" * 12,
    "github_pat_" + "aB3" * 12,
    "AKIA" + "Z7" * 8,
    "https://host/data?X-Amz-Signature=0a1b",
    "https://host/data?sv=1&sig=0a1b%3D",
    "https://host/data?token=0a1b",
]


@pytest.mark.parametrize("text", TOKENS)
def test_a_credential_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="holds a credential") as caught:
        no_secret(f"owner/{text}")
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["results", "google/vit-base", "s3://bucket/a@b", "/data/me@home/x", "hf_small", "embedded/vit-nano"]
)
def test_other_texts_pass(text):
    assert no_secret(text) == text


@pytest.mark.parametrize("place", ["results", "/shared/r", "s3://bucket", "gs://bucket/a/b", "file:///shared/r"])
def test_places_for_results(place):
    assert results_place(place) == place


def test_a_home_directory_is_expanded():
    assert results_place("~/r") == os.path.expanduser("~/r")


@pytest.mark.parametrize("key", ["model.name", "stream.dataset", "output.dir", "output.wandb.project"])
def test_a_sweep_file_with_a_credential_is_refused(tmp_path, tiny_vit, image_folder, key):
    from tests.conftest import sweep_file
    from zfscale import spec
    from zfscale.errors import SpecError

    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)
    with pytest.raises(SpecError) as caught:
        spec.load(str(file), [f"{key}={TOKENS[1]}"])
    assert "holds a credential" in str(caught.value)


@pytest.mark.parametrize(("path", "message"), [("a\0b", "NUL character"), ("~nosuchuser/x", "no user 'nosuchuser'")])
def test_a_path_that_no_file_can_have_is_told(path, message):
    from zfscale.spec.text import results_place, user_path

    for check in (results_place, user_path):
        with pytest.raises(ValueError, match=message):
            check(path)
