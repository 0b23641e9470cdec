import pytest

from vrft_pl.runs.given import BLOCK, HEADER, records

FRONT = b":W&B" + bytes(3)


def part(kind, data):
    return HEADER.pack(0, len(data), kind) + data


def test_a_record_of_several_parts_goes_over_the_edge_of_a_block():
    first = bytes(BLOCK - len(FRONT) - HEADER.size - 3)  # three bytes are left, too few for another part
    file = FRONT + part(1, first) + bytes(3) + part(2, b"a") + part(3, b"b") + part(4, b"c") + part(1, b"whole")
    assert list(records(file)) == [first, b"abc", b"whole"]


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(part(1, b"two")[:-1], id="cut-in-its-content"),
        pytest.param(part(1, b"two")[:5], id="cut-in-its-header"),
        pytest.param(part(2, b"two"), id="cut-between-its-parts"),
        pytest.param(bytes(40), id="room-that-nothing-was-written-to"),
    ],
)
def test_a_file_is_read_up_to_where_it_is_cut_off(torn):
    assert list(records(FRONT + part(1, b"one") + torn)) == [b"one"]


@pytest.mark.parametrize("file", [b"", FRONT[:5], FRONT])
def test_a_file_that_was_only_begun_holds_nothing(file):
    assert list(records(file)) == []
