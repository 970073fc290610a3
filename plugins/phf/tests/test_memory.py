"""Unlikelihood holds one array (tokens, vocabulary) beside a chunk, measured at a vocabulary of 50 k in its own process."""

from omnitrain_phf.bench_data import arrays_held


def test_unlikelihood_holds_one_array_where_the_plain_way_holds_more():
    ours = arrays_held("ours")
    assert ours < 1.5
    assert arrays_held("log-softmax") > ours + 0.7
