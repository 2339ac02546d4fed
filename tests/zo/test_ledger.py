"""The append-only file: whole entries come back, torn and damaged ones end it."""

from __future__ import annotations

import math

import pytest

from zfscale.zo.ledger import Entry, Ledger, entries

ENTRIES = [
    Entry(1, 0, 1e-3, 0.7, 2, 0.1, 1, (2**62 + 1,), (-3.5,)),
    Entry(1, 1, 1e-3, 0.6, 6, 0.2, -1, (5, 6), (1e-300, 2.0)),
    Entry(2, 0, 0.0, 0.5, 8, 0.3, 0, (), ()),
]


def test_what_was_appended_is_the_past_of_the_next(tmp_path):
    path = tmp_path / "deep" / "t"
    ledger = Ledger(path)
    assert ledger.past == []
    for entry in ENTRIES:
        ledger.append(entry)
    assert Ledger(path).past == ENTRIES
    ledger.remove()
    assert not path.exists()


def test_every_cut_leaves_the_whole_entries_before_it_and_can_go_on(tmp_path):
    data = b"".join(e.pack() for e in ENTRIES)
    ends = [len(ENTRIES[0].pack()), len(ENTRIES[0].pack() + ENTRIES[1].pack()), len(data)]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert list(entries(data[:cut])) == ENTRIES[:whole]
    path = tmp_path / "t"
    path.write_bytes(data[: ends[0] + 7])
    Ledger(path).append(ENTRIES[1])
    assert Ledger(path).past == ENTRIES[:2]


@pytest.mark.parametrize("at", [0, 3, 11, 40, 50])
def test_a_flipped_bit_ends_the_past(at):
    data = bytearray(b"".join(e.pack() for e in ENTRIES))
    data[at] ^= 4
    assert list(entries(bytes(data))) == []


def test_a_loss_that_is_not_a_number_survives():
    entry = Entry(1, 0, 1e-3, math.nan, 2, 0.1, 1, (1,), (math.inf,))
    (back,) = entries(entry.pack())
    assert math.isnan(back.loss)
    assert back.coefficients == (math.inf,)
