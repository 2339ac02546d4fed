"""Every format of text files keeps the contract, the one that the documentation has for an example too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from tests.data.text_writing import read, table
from zfscale.data.corpora import find
from zfscale.data.formats.catalogue import FORMATS
from zfscale.errors import DataError, SpecError
from zfscale.spec import load
from zfscale.spec.own import own_code
from zfscale.spec.sources import DomainPath
from zfscale.testing.formats import FormatContract

README = Path(__file__).parents[2] / "zfscale" / "README.md"
ROWS: list[dict[str, Any]] = [{"id": i, "text": f"document {i}, naïve"} for i in range(3)]
TEXTS: list[str] = [row["text"] for row in ROWS]


class TestText(FormatContract):
    """Plain text."""

    format, good, texts = "text", "one\nnaïve\n".encode(), ["one\nnaïve\n"]
    damaged: ClassVar = b"x" * (1 << 15) + b"\0"


class TestJsonLines(FormatContract):
    """JSON lines."""

    format, good, texts = "jsonl", table("jsonl", ROWS), TEXTS
    damaged: ClassVar = table("jsonl", ROWS)[:-5]


class TestCsv(FormatContract):
    """CSV."""

    format, good, texts = "csv", table("csv", ROWS), TEXTS
    damaged: ClassVar = b'id,text\n1,"never closed'


class TestParquet(FormatContract):
    """Parquet."""

    format, good, texts = "parquet", table("parquet", ROWS), TEXTS
    damaged: ClassVar = table("parquet", ROWS)[:-5]


class TestFortunes(FormatContract):
    """The example."""

    format, good, texts = "fortunes:Fortunes", "a\nb\n%\nnaïve\n".encode(), ["a\nb\n", "naïve\n"]
    damaged: ClassVar = b"a\n%\n" * (1 << 13) + b"\0"

    @pytest.fixture(autouse=True)
    def there(self, fortunes: Path) -> None:
        """It can be imported."""


def test_every_format_is_under_the_contract():
    assert {test.format for test in FormatContract.__subclasses__()} - {"fortunes:Fortunes"} == set(FORMATS)


@pytest.fixture
def fortunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of the example, as the documentation has it, in the working directory; a file for it."""
    (example,) = re.findall(r"```python\n((?:(?!```).)*class Fortunes.*?)```", README.read_text(), re.S)
    folder = tmp_path / "example"
    folder.mkdir()
    (folder / "fortunes.py").write_text(example)
    (folder / "x.fortunes").write_text("one\n%\ntwo\n")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "fortunes", raising=False)
    return folder


SWEEP = """\
name: text
model: {name: embedded/lm-nano}
stream: {kind: domain_incremental, block_size: 64, domains: [{name: a, dataset: {path: x.fortunes, format: FORMAT}}]}
method: {name: sequential}
optimizer: {name: zo-sgd, lr: 1e-3}
train: {epochs: 1, batch_size: 8}
"""


def sweep(format: str) -> Path:
    file = Path("sweep.yaml")
    file.write_text(SWEEP.replace("FORMAT", format))
    return file


def test_a_format_from_outside_is_checked_and_carried(fortunes):
    whole = load(sweep("fortunes:Fortunes"))
    assert own_code(whole.trials, whole.spec.output) == {"fortunes:Fortunes": "stream.domains"}
    for format, says in {
        "fortunes:Nothing": "'fortunes:Nothing' cannot be imported: module 'fortunes' has no attribute 'Nothing'",
        "nowhere:Fortunes": "'nowhere:Fortunes' cannot be imported: No module named 'nowhere'",
        "fortunes:lines": "'fortunes:lines' has no `facts`, a zfscale.data.formats.catalogue.Format",
        "'fortunes:Fortunes', column: a": "'a' has no effect on format: fortunes:Fortunes; allowed: null, or jsonl",
    }.items():
        with pytest.raises(SpecError) as caught:
            load(sweep(format))
        (line,) = str(caught.value).splitlines()
        assert line.startswith("sweep.yaml:3: stream.domains[0].dataset.")
        assert says in line
    with pytest.raises(ValidationError, match="or module:Class of your own"):
        DomainPath(path="x", format="fortunes")


def test_a_change_of_code_from_outside_is_another_corpus(fortunes, monkeypatch):
    source = {"path": "x.fortunes", "format": "fortunes:Fortunes"}
    before = find(source).identity
    assert find(source).identity == before
    with (fortunes / "fortunes.py").open("a") as module:
        module.write("# changed\n")
    monkeypatch.delitem(sys.modules, "fortunes")
    assert find(source).identity != before


def test_nothing_tells_ours_from_others_in_the_identity_of_a_corpus(tmp_path):
    """Tokens that were cached before stay valid."""
    (tmp_path / "a").write_text("one")
    digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert find({"path": str(tmp_path / "a")}).identity == ["text", None, "utf-8", [digest]]


ONE_LINE = """
import json
from zfscale.data.formats.catalogue import FORMATS
from fortunes import Fortunes
FORMATS["fortunes"] = Fortunes.facts
from zfscale.data.corpora import find
from zfscale.spec import load
from zfscale.spec.sources import DomainPath
load("sweep.yaml")
documents = list(find({"path": "x.fortunes", "format": "fortunes"}).documents())
try:
    find({"path": "x.fortunes"})
except Exception as error:
    told = str(error)
print(json.dumps([documents, told, DomainPath.model_json_schema()["properties"]["format"]["description"]]))
"""


def test_a_line_of_the_catalogue_is_all_that_a_format_needs(fortunes):
    """Its name is allowed, described, and claimed by its suffix."""
    sweep("fortunes")
    done = subprocess.run([sys.executable, "-c", ONE_LINE], check=True, capture_output=True, text=True)
    documents, told, description = json.loads(done.stdout)
    assert documents == ["one\n", "two\n"]
    assert told.endswith("x.fortunes: is named as fortunes; write format: fortunes, or rename it")
    assert "; fortunes: texts between lines of %; " in description


def test_a_suffix_of_its_own_is_no_contradiction_to_a_format_from_outside(fortunes):
    module = fortunes / "fortunes.py"
    module.write_text(module.read_text().replace('(".fortunes",)', '(".csv",)'))
    for name in ("x.csv", "x.jsonl"):
        (fortunes / name).write_text("one\n%\ntwo\n")
    assert read("x.csv", "fortunes:Fortunes") == ["one\n", "two\n"]
    with pytest.raises(DataError, match="is named as jsonl"):
        read("x.jsonl", "fortunes:Fortunes")
