"""The method of the paper (arXiv 2306.14884) as pure functions.

Section of the paper -> module:function, here or in the package

- 3, unified states and actions -> `omnitrain_l2m.spaces.domains:Domain`; bins of action dimensions -> `tokens:Tokeniser`
- 3, the multi-domain decision transformer -> `omnitrain_l2m.models.network:Mddt`; batches of one domain each ->
  `sampling:domains_of`
- 3, acting: the last steps and the return that is asked for -> `episodes:History`; dimension by dimension ->
  `omnitrain_l2m.models.acting:greedy_actions`
- 4, the query -> `selection:masked_mean`; its similarity with keys -> `selection:similarities`
- 4, inverse counts of choices -> `selection:counted`, `selection:count_weights`, `selection:penalised`; the oracle's blocks ->
  `selection:within_block`
- 4, the pull of keys -> `selection:pull`; the loss -> `omnitrain_l2m.objectives:Actions`
- 4, modulation of query, value and feed-forward layer -> `omnitrain_l2m.models.modulators:MAKERS`
- algorithm box, choose, modulate, count and update -> `omnitrain_l2m.models.tuned:Tuned`
- 5, scores normalised by data -> `scores:normalised_score`
"""
