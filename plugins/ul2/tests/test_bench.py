"""The benchmark measures functions that do the same."""

import numpy as np
import pytest

from omnitrain_ul2.evidence.bench import BATCHES, benches, row_by_row, split_rows
from omnitrain_ul2.paper.denoisers import UL2_DENOISERS


def test_benches_cover_every_denoiser_the_mixture_and_whole_batches():
    found = benches()
    assert len(found) == len(BATCHES) * (len(UL2_DENOISERS) + 2) + 1
    chosen = [bench for bench in found if bench.name.endswith("batch 8")]
    values = {bench.name: {name: run() for name, run in bench.variants.items()} for bench in chosen[-3:]}
    assert all(rate > 0 for rates in values.values() for rate in rates.values())
    assert set(values["balanced mixture, batch 8"]) == {"denoise_batch", "row by row"}
    assert set(values["training batches, batch 8"]) == {"one example a row", "packed"}


@pytest.mark.parametrize(("number", "width"), [(0, 114), (2, 512), (5, 512)])
def test_peer_gives_examples_of_the_same_shape(number, width):
    denoiser = UL2_DENOISERS[number]
    length = {0: 568, 2: 766, 5: 1006}[number]
    inputs, targets = row_by_row(np.arange(2, 2 + length, dtype=np.int32)[None], denoiser, np.random.RandomState(0))
    assert inputs.shape == (1, 512)
    assert targets.shape == (1, width)


def test_peers_for_sequential_denoising_cut_at_the_same_place():
    ids = np.arange(2, 2 + 4 * 511, dtype=np.int32).reshape(4, 511)
    denoiser = next(d for d in UL2_DENOISERS if d.kind == "S")
    general, short = (peer(ids, denoiser, np.random.RandomState(3)) for peer in (row_by_row, split_rows))
    for ours, theirs in zip(general, short, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (general[0] > 1).sum() + (general[1] > 1).sum() == ids.size
