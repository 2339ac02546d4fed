"""Where the data of a stream is: a name, a dataset of the hub, or files of the user's."""

from __future__ import annotations

import io
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag

from zfscale.block import Block
from zfscale.data.formats import catalogue as formats
from zfscale.spec.names import OneOf
from zfscale.spec.text import Text, UserPath


def _encoding(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)  # unlike a look-up, it refuses what is none of text: base64
    except LookupError:
        raise ValueError(
            f"unknown encoding {name!r}; expected one of Python's, such as utf-8, utf-16, cp1251"
        ) from None
    return name


class Columns(Block):
    """The columns of a table that hold what is learned; null: the one of that name or type, if there is just one."""

    image: Text | None = Field(default=None, description="the image, or the name of its file")
    label: Text | None = Field(default=None, description="the class: text, an integer, or a ClassLabel")
    split: Text | None = Field(default=None, description="csv: whether the row is for training or for testing")
    text: Text | None = Field(default=None, description="text domains: the text of a document")


class Splits(Block):
    """The splits of a hub dataset that are trained and tested on; null: found by their names."""

    train: Text | None = Field(default=None, description="the split that is trained on")
    test: Text | None = Field(default=None, description="the split that is tested on")


class HubDataset(Block):
    """A dataset of the Hugging Face hub, or a local directory of the hub's format."""

    hub: UserPath = Field(description="owner/name, or a directory (./, /, ~)")
    config: Text | None = Field(default=None, description="its configuration; null: the only one, or the default one")
    revision: Text | None = Field(default=None, description="branch, tag or commit; null: the newest")
    split: Splits | None = Field(default=None, description="its splits, {train: ..., test: ...}; null: by their names")
    columns: Columns | None = Field(default=None, description="its columns, {image: ..., label: ..., text: ...}")


class DatasetPath(Block):
    """Images in local files."""

    path: UserPath = Field(description="a directory, of csv the file; relative to the working directory")
    format: Literal["imagefolder", "csv", "cub"] = Field(
        description="imagefolder: one subdirectory per class, optionally below train/ and test/; csv: a table of file "
        "names and labels; cub: the directory of CUB_200_2011"
    )
    images: UserPath | None = Field(
        default=None, description="csv: the directory that file names are relative to; null: that of the csv"
    )
    columns: Columns | None = Field(default=None, description="csv: its columns, {image: ..., label: ..., split: ...}")


class DomainPath(Block):
    """A domain in local files."""

    path: UserPath = Field(description="a glob of text files, or a directory of images")
    format: Annotated[str, OneOf((*formats.FORMATS, "imagefolder"), "module:Class of your own")] = Field(
        description=f"{formats.listing()}; imagefolder: as a dataset"
    )
    column: Text | None = Field(
        default=None,
        description=f"{formats.which('columns')}: the column of the text; null: `text`, or (not "
        f"{formats.which('untyped')}) the only one",
    )
    encoding: Annotated[Text, AfterValidator(_encoding)] = Field(
        default="utf-8", description=f"{formats.which('encoding')}: of the files' bytes"
    )


def _branch(files: type[Block]) -> Any:
    """The branch of a union that a value is meant to be: text, a dataset of the hub, or these files."""

    def tag(value: Any) -> str:
        if isinstance(value, HubDataset) or (isinstance(value, dict) and "hub" in value):
            return "<HubDataset>"
        return f"<{files.__name__}>" if isinstance(value, (dict, files)) else "<text>"

    return Discriminator(tag)


_Name: TypeAlias = Annotated[Text, Tag("<text>")]
_Hub: TypeAlias = Annotated[HubDataset, Tag("<HubDataset>")]
Dataset = Annotated[_Name | _Hub | Annotated[DatasetPath, Tag("<DatasetPath>")], _branch(DatasetPath)]
DomainData = Annotated[_Name | _Hub | Annotated[DomainPath, Tag("<DomainPath>")], _branch(DomainPath)]
