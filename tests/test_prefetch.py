import threading
import time

import pytest

from earwitness.prefetch import batches, draw_ahead, map_ahead


@pytest.mark.parametrize("workers", [1, 4])
def test_results_come_in_order(workers):
    def late(n: int) -> int:
        time.sleep(0.002 * (5 - n % 5))
        return n * n

    assert list(map_ahead(late, range(20), workers=workers, most=6)) == [n * n for n in range(20)]
    assert list(draw_ahead(range(20), most=3)) == list(range(20))


def test_errors_are_raised_in_their_place():
    results = map_ahead(lambda n: 1 // n, [1, 1, 0, 1], workers=2, most=4)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)

    def failing():
        yield 1
        raise ValueError("broken in the middle")

    drawn = draw_ahead(failing(), most=4)
    assert next(drawn) == 1
    with pytest.raises(ValueError, match="broken in the middle"):
        next(drawn)


def test_a_reader_who_leaves_ends_the_threads():
    before = threading.active_count()
    results = map_ahead(lambda n: n, iter(range(10**9)), workers=3, most=5)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_batches_may_grow_from_a_small_one():
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches(range(12), 4, 1)) == [[0], [1, 2], [3, 4, 5, 6], [7, 8, 9, 10], [11]]
