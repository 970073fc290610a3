"""Direct preference optimisation."""

import torch

from omnitrain_eft.objectives import dpo_loss


def test_dpo_loss_is_that_of_the_paper():
    margin, reference = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.0])
    expected = -torch.log(torch.sigmoid(0.3 * (margin - reference)))
    torch.testing.assert_close(dpo_loss(margin, reference, 0.3), expected)
