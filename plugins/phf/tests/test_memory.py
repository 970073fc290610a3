"""Unlikelihood holds one array (tokens, vocabulary) beside the logits' own memory, measured in a process of its own."""

import subprocess
import sys

PROBE = """
import resource, sys, torch
torch.set_num_threads(1)
from torch.nn import functional
from omnitrain_phf.losses import token_nll, unlikelihood_loss
tokens, vocabulary = 2048, 50257
hidden = torch.randn(1, tokens, 16, requires_grad=True)
head = torch.randn(vocabulary, 16, requires_grad=True)
labels = torch.randint(vocabulary, (1, tokens))
scores = torch.rand(1, tokens)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
# What importing took and gave back again does not hide anything: it is small beside one array.
before = peak()
logits = hidden @ head.T
if sys.argv[1] == "ours":
    loss = unlikelihood_loss(token_nll(logits, labels), scores, 0.5).loss(1.0)
else:
    log_p = torch.log_softmax(logits, -1)
    chosen = log_p.gather(-1, labels[..., None])[..., 0]
    loss = -torch.where(scores <= 0.5, chosen, torch.log1p(-chosen.exp()))
del logits
loss.sum().backward()
print((peak() - before) / (4 * tokens * vocabulary))
"""


def arrays(which):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROBE, which], capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_unlikelihood_holds_one_array_where_the_plain_way_holds_more():
    ours = arrays("ours")
    assert ours < 1.5
    assert arrays("plain") > ours + 0.7
