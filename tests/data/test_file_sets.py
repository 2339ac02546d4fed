"""Files of a glob: read once as long as they do not change, and no longer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zfscale.data import aside, file_sets
from zfscale.data.aside import Aside
from zfscale.data.file_sets import digests, matching
from zfscale.errors import DataError


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(file_sets, "RECENT", 0)  # the test has no time to wait for
    for i in range(5):
        (tmp_path / f"{i}.txt").write_text(f"content {i}")
    return list(matching(str(tmp_path / "*.txt")).files)


def looked(files: list[str], memory: Path | None) -> tuple[list[str], list[str]]:
    """The digests, and the names of the files that were looked at for them."""
    seen: list[str] = []
    found, problems = digests(files, memory, lambda file: seen.append(os.path.basename(file)))
    assert not problems
    return found, seen


def test_only_what_has_changed_is_read_again(files, tmp_path):
    memory = tmp_path / "cache" / "memory.json"
    first, seen = looked(files, memory)
    assert len(seen) == 5
    assert looked(files, memory) == (first, [])
    assert looked(files[1:], memory) == (first[1:], [])
    changed = Path(files[2])
    before = changed.stat()
    changed.write_text("CONTENT 2")  # of the same size
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # and the same time
    found, seen = looked(files, memory)
    assert seen == ["2.txt"]
    assert [a == b for a, b in zip(found, first, strict=True)] == [True, True, False, True, True]
    memory.write_text("{no JSON")
    assert len(looked(files, memory)[1]) == 5


def test_files_that_may_change_within_their_time_stamp_are_not_remembered(files, tmp_path, monkeypatch):
    monkeypatch.setattr(file_sets, "RECENT", 10**12)
    memory = tmp_path / "cache" / "memory.json"
    looked(files, memory)
    assert len(looked(files, memory)[1]) == 5


def test_files_with_problems_are_not_remembered_and_all_are_told(files, tmp_path):
    def check(file: str) -> None:
        if not file.endswith("0.txt"):
            raise DataError(f"{file}: wrong")

    memory = tmp_path / "cache" / "memory.json"
    for _ in range(2):
        found, problems = digests(files, memory, check)
        assert (len(found), problems) == (1, [f"{file}: wrong" for file in files[1:]])


def test_a_file_that_is_gone_in_the_meantime(files, tmp_path):
    def check(file: str) -> None:
        os.remove(file)
        os.stat(file)

    assert digests(files[:1], None, check) == ([], [f"{files[0]}: cannot be read: No such file or directory"])


def test_a_memory_that_cannot_be_written_costs_time_only(files, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert looked(files, tmp_path / "file" / "memory.json") == looked(files, None)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path):
    left = tmp_path / f"{aside.PREFIX}left"
    left.write_text("half")
    living = Aside(tmp_path)
    assert not left.exists()
    living.file.write(b"whole")
    other = Aside(tmp_path)
    assert living.path.exists()
    living.keep(tmp_path / "a")
    other.drop()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a": "whole"}


def test_progress_is_told_in_lines_where_there_is_no_terminal(capsys, monkeypatch):
    from zfscale.data import progress

    monkeypatch.setattr(progress, "FIRST", 0.0)
    with progress.progress("reading files", 2000, "bytes") as advance:
        advance(1500)
    assert capsys.readouterr().err == "reading files: 1,500 of 2,000 bytes\n"


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    import io

    from zfscale.data import progress

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen: Any = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress("reading [files]", 2000, "bytes") as advance:
        advance(1500)
    assert "reading [files]" in screen.getvalue()


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    for name in ("[a].txt", "a.txt"):
        (tmp_path / name).touch()
    assert matching(str(tmp_path / "[a].txt")).files == [str(tmp_path / "[a].txt")]
    assert matching(str(tmp_path / "[ab].txt")).files == [str(tmp_path / "a.txt")]
