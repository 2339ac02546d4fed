"""The saved models and the images that the tests of models have, too."""

from tests.models.conftest import images, saved

__all__ = ["images", "saved"]
