"""Whatever the hub and other libraries raise is one line with the model's name and a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import errors as hub

from tests.troubles import assert_told
from zfscale.errors import ModelError
from zfscale.models import load


class Response:
    """The part of an HTTP response that the hub's errors look at."""

    request = None

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}


def of_transformers(cause: Exception, text: str = "We cannot load it.\nSee the documentation.") -> Exception:
    """An error as transformers raises it, with the hub's as its cause."""
    error = OSError(text)
    error.__cause__ = cause
    return error


REFUSAL: Any = Response()
CASES = {
    "gated": (of_transformers(hub.GatedRepoError("403", response=REFUSAL)), "accept its terms at https://huggingf"),
    "not found": (of_transformers(hub.RepositoryNotFoundError("404", response=REFUSAL)), "check the name"),
    "offline": (
        of_transformers(hub.LocalEntryNotFoundError("none")),
        "cannot be reached; run `hf download",
    ),
    "switched off": (
        of_transformers(hub.OfflineModeIsEnabled("off")),
        "cannot be reached; run `hf download",
    ),
    "no file": (of_transformers(ValueError(), "it has no file named model.safetensors"), "use save_pretrained"),
    "several lines": (of_transformers(ValueError()), "We cannot load it. See the documentation."),
    "blank": (ImportError("\n\nneeds timm\n"), "needs timm"),
    "nothing said": (AssertionError(), "AssertionError"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_foreign_error_is_one_line(case):
    error, says = CASES[case]
    with pytest.raises(ModelError) as caught, load.reading("owner/name", "owner/name"):
        raise error
    assert_told(caught.value, "model 'owner/name' cannot be loaded: ", says)
    assert "embedded/" not in str(caught.value)
    assert caught.value.__cause__ is error


def test_our_own_names_are_told_where_one_was_meant():
    with pytest.raises(ModelError, match="did you mean 'embedded/vit-nano'"), load.reading("vit-nano", "vit-nano"):
        raise CASES["not found"][0]


def test_our_own_error_stays_as_it_is():
    error = ModelError("ours")
    with pytest.raises(ModelError) as caught, load.reading("m", "m"):
        raise error
    assert caught.value is error
