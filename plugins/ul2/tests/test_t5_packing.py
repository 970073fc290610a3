"""Packing of plain rows beyond the golden vectors."""

import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_ul2.evidence.t5_packing import draw_split_points, pack_decoder_only, pack_encoder_decoder


def test_packing_of_many_rows_equals_one_by_one():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 50, (2, 20, 9))
    splits = draw_split_points(20, 9, generator)
    decoder = pack_decoder_only(first, splits)
    both = pack_encoder_decoder(first, second, splits)
    for row in range(20):
        one = slice(row, row + 1)
        assert (pack_decoder_only(first[one], splits[one]).loss_weights[0] == decoder.loss_weights[row]).all()
        single = pack_encoder_decoder(first[one], second[one], splits[one])
        assert (single.decoder_input_tokens[0] == both.decoder_input_tokens[row]).all()
        assert (single.encoder_input_tokens[0] == both.encoder_input_tokens[row]).all()


def test_packing_refuses_splits_outside_the_row():
    with pytest.raises(DataError, match=r"must lie in \[1, 4\)"):
        pack_decoder_only(np.ones((1, 4), int), [4])
    with pytest.raises(DataError, match="use at least 2"):
        draw_split_points(3, 1, np.random.default_rng(0))
