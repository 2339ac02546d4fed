"""The families of models by name, and which one a trial's model is of.

Nothing here needs torch: a family is a path, "package.module:Class", that is imported when a trial is prepared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zfscale import registry
from zfscale.errors import SpecError, one_line

if TYPE_CHECKING:
    from zfscale.models.families.base import Family
    from zfscale.spec import TrialSpec

FAMILIES = {
    "classifier": "zfscale.models.families.classifier:Classifier",
    "language": "zfscale.models.families.language:Language",
    "masked_image": "zfscale.models.families.masked_image:MaskedImage",
}


def family_name(spec: TrialSpec) -> str:
    """The family that a trial's model is loaded as: the user's own, if `model.name` is a path, or the stream's."""
    if registry.is_path(spec.model.name):
        return spec.model.name
    from zfscale.spec.domains import modality

    if spec.stream.protocol == "class_incremental":
        return "classifier"
    return {"text": "language", "images": "masked_image"}[modality(spec.stream)]


def family(spec: TrialSpec) -> Family:
    """The family of a trial's model. Errors: SpecError where the user's own is none."""
    from zfscale.models.families.base import Family

    name = family_name(spec)
    try:
        found = registry.load_user(FAMILIES.get(name, name))
    except Exception as error:  # the user's module may raise anything
        raise SpecError(f"model.name: {name!r} cannot be imported: {one_line(error)}") from error
    if not (isinstance(found, type) and issubclass(found, Family)):
        raise SpecError(f"model.name: {name!r} is no zfscale.models.families.base.Family")
    return found()
