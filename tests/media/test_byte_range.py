"""A part of a file behaves as a file that holds these bytes alone."""

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from earwitness.media.byte_range import ByteRange

MOVES = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 12), st.just(0)),
    st.tuples(st.just("seek"), st.integers(-8, 24), st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])),
)


@given(st.binary(max_size=20), st.binary(max_size=5), st.data())
def test_it_reads_and_seeks_like_a_file_of_these_bytes(content, head, data):
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, len(content)))
    held = head + content[begin:end]
    file, at = ByteRange(io.BytesIO(content), begin, end, head), 0
    for move, number, whence in data.draw(st.lists(MOVES, max_size=8)):
        if move == "read":
            wanted = held[at:] if number < 0 else held[at : at + number]
            assert file.read(number) == wanted
            at += len(wanted)
        else:
            at = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: at, os.SEEK_END: len(held)}[whence] + number)
            assert file.seek(number, whence) == at == file.tell()


def test_closing_it_leaves_the_file_open():
    whole = io.BytesIO(b"abcd")
    ByteRange(whole, 1, 3).close()
    assert whole.read() == b"abcd"
