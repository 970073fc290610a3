"""Preferences: pairs of responses to one prompt, what a model and its reference give them, and losses on that.

`losses` is the reading guide's end: pure functions on log-probabilities. `batches` lays pairs out, `log_probs` takes both
sides through the model in one forward pass, `reference` measures the reference once for a set of pairs, `records` reads pairs
as people have them, `objective` is `language/preference`.
"""
