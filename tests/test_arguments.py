"""What command lines say, in any order of their parts."""

from __future__ import annotations

import pytest

from zfscale.arguments import parse


@pytest.mark.parametrize(
    "given",
    ["verify there --losses 4 ab cd", "verify there ab cd --losses 4", "verify there ab --losses 4 cd"],
)
def test_trials_stand_before_or_after_options(given: str) -> None:
    args = parse(given.split())
    assert (args.trials, args.losses) == (["ab", "cd"], 4)


@pytest.mark.parametrize("given", ["verify there ab --lossses 4", "status there other", "bench sweep other"])
def test_what_is_not_known_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(given.split())
    assert ended.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err
