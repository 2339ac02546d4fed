"""The append-only file: whole entries come back, torn and damaged ones end it."""

from __future__ import annotations

import math

import pytest

from zfscale.zo.ledger import MAGIC, Entry, Ledger, entries

ENTRIES = [  # seconds are kept in single precision
    Entry(0.7, 2, 0.125, 1, (2**62 + 1,), (-3.5,)),
    Entry(0.6, 6, 0.25, -1, (5, 6), (1e-300, 2.0)),
    Entry(0.5, 8, 3600.5, 0, (), ()),
]
PACKED = [e.pack() for e in ENTRIES]


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
    data = MAGIC + b"".join(PACKED)
    ends = [len(MAGIC + b"".join(PACKED[: i + 1])) for i in range(3)]
    path = tmp_path / "t"
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert list(entries(data[:cut])) == ENTRIES[:whole]
        path.write_bytes(data[:cut])
        Ledger(path).append(ENTRIES[1])
        assert Ledger(path).past == [*ENTRIES[:whole], ENTRIES[1]]


@pytest.mark.parametrize("at", range(len(PACKED[0])))
def test_a_flipped_bit_ends_the_past(at):
    data = bytearray(MAGIC + b"".join(PACKED))
    data[len(MAGIC) + at] ^= 4
    assert list(entries(bytes(data))) == []


def test_a_file_that_ends_in_zeros_or_is_of_another_format(tmp_path):
    """Zeros are what some file systems leave after a power cut."""
    assert list(entries(MAGIC + PACKED[0] + bytes(4096))) == ENTRIES[:1]
    assert list(entries(b"zfscale ledger 1\n" + PACKED[0])) == []
    path = tmp_path / "t"
    path.write_bytes(b"something else" + PACKED[0])
    Ledger(path).append(ENTRIES[2])
    assert path.read_bytes() == MAGIC + PACKED[2]


def test_a_loss_that_is_not_a_number_survives():
    entry = Entry(math.nan, 2, 0.5, 1, (1,), (math.inf,))
    (back,) = entries(MAGIC + entry.pack())
    assert math.isnan(back.loss)
    assert back.coefficients == (math.inf,)


@pytest.mark.parametrize("accepted", [-1, 0, 1])
@pytest.mark.parametrize("q", [1, 32])
def test_the_largest_steps_fit(accepted, q):
    seeds, coefficients = tuple(2**63 - 1 - i for i in range(q)), tuple(math.pi * i for i in range(q))
    entry = Entry(0.5, 2 * q + 3, 1e7, accepted, seeds, coefficients)
    assert list(entries(MAGIC + entry.pack())) == [entry]


def test_drop_takes_the_last_back_from_the_file_too(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(MAGIC + b"".join(PACKED))
    ledger = Ledger(path)
    ledger.drop(0)
    assert ledger.past == ENTRIES
    ledger.drop(2)
    assert ledger.past == ENTRIES[:1]
    ledger.append(ENTRIES[2])
    assert Ledger(path).past == [ENTRIES[0], ENTRIES[2]]
    ledger.drop(1)
    assert Ledger(path).past == []


@pytest.mark.parametrize("q", [1, 4])
def test_a_query_costs_at_most_32_bytes_on_disk(q, tmp_path):
    """While the trial runs; apart from the 17 bytes that name the format."""
    path, steps = tmp_path / "t", 1000
    ledger = Ledger(path)
    for t in range(steps):
        ledger.append(Entry(0.5, 2 * q, float(t), 1, tuple(range(t, t + q)), (0.1,) * q))
    assert path.stat().st_size - len(MAGIC) <= 32 * q * steps
    assert len(Ledger(path).past) == steps
