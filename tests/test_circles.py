"""No module imports itself by a detour, at its top or inside a function."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imported import circles, graph

GRAPH = graph()
ROOMS = sorted({".".join(name.split(".")[:2]) for name in GRAPH if name.count(".") > 1})


# Facts and helpers that rooms below their own may import, as they import nothing of any room. A model's family is found
# from a whole spec, so its catalogue is none of them.
CATALOGUES = {name for name in GRAPH if name.endswith(".catalogue")} - {"zfscale.models.catalogue"}
SHARED = CATALOGUES | {"zfscale.results.redact", "zfscale.results.patience"}


def room_of(name: str) -> str:
    """The subpackage that a module is in, or the module itself where it is in none."""
    return ".".join(name.split(".")[:2])


def told(found: list[list[str]]) -> str:
    return "; ".join(" -> ".join(circle) for circle in found)


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_has_an_import_circle(room: str) -> None:
    inside = {name for name in GRAPH if room_of(name) == room}
    found = circles({name: GRAPH[name] & inside for name in inside})
    assert not found, told(found)


def test_no_circle_of_modules_goes_through_several_rooms() -> None:
    found = [circle for circle in circles(GRAPH) if len(set(map(room_of, circle))) > 1]
    assert not found, told(found)


def test_rooms_form_no_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for name, imported in GRAPH.items():
        if name != "zfscale":
            others = rooms.setdefault(room_of(name), set())
            others |= {room_of(one) for one in imported - SHARED} - {room_of(name), "zfscale"}
    found = circles(rooms)
    assert not found, told(found)


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_rooms_share_imports_nothing_of_a_room(name: str) -> None:
    options = {mine for mine in GRAPH[name] if GRAPH[mine] <= {"zfscale.block"}}  # of a thing's own
    assert GRAPH[name] - options <= {"zfscale.errors", "zfscale.registry"}


def write(folder: Path, **modules: str) -> Path:
    """A package of these modules."""
    package = folder / "p"
    (package / "sub").mkdir(parents=True)
    for name, text in {"__init__": "", "sub/__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)
    return package


@pytest.mark.parametrize(
    "back",
    [
        "import p.a",
        "from p import a",
        "from p.a import thing",
        "from . import a",
        "from .a import thing",
        "def f():\n    from p.a import thing",
        "if TYPE_CHECKING:\n    import os\nelse:\n    import p.a",
    ],
)
def test_a_circle_is_found_and_named(tmp_path: Path, back: str) -> None:
    package = write(tmp_path, a="from p import b", b="from p.c import thing", c=back)
    assert circles(graph(package)) == [["p.a", "p.b", "p.c", "p.a"]]


@pytest.mark.parametrize(
    "back",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a",
        "import typing\nif typing.TYPE_CHECKING:\n    from .a import thing",
        "import a",
        "from p import other",
    ],
)
def test_what_a_type_checker_alone_sees_makes_no_circle(tmp_path: Path, back: str) -> None:
    package = write(tmp_path, a="from p import b", b="from p.c import thing", c=back)
    assert circles(graph(package)) == []


def test_dots_are_counted_from_a_package_as_python_does(tmp_path: Path) -> None:
    package = write(tmp_path, a="import p.sub", **{"sub/__init__": "from .. import a\nfrom . import c", "sub/c": ""})
    assert graph(package)["p.sub"] == {"p.a", "p.sub.c"}
    assert circles(graph(package)) == [["p.a", "p.sub", "p.a"]]
