"""Total variation beside scikit-image."""

import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle

from omnitrain_w2pgnn.paper.graphons.denoising import total_variation


@pytest.mark.parametrize("weight", [0.05, 1.0, 5.0])
def test_total_variation_is_that_of_scikit_image(weight):
    image = np.random.default_rng(0).random((9, 9))
    np.testing.assert_allclose(total_variation(image, weight), denoise_tv_chambolle(image, weight), atol=1e-9)
