"""The method of the paper (arXiv 2310.12962) as pure functions on logits.

Section of the paper -> module:function

- 3, fine-tuning as a reward, r(x, y) = beta log pi(y | x) / pi_ref(y | x) -> `composition:implicit_reward`
- 3, emulated fine-tuning, the equation that stands for an algorithm box: scales N of pre-training and M of fine-tuning,
  composed at every token -> `composition:combine`, turned by `composition:Dials`
- 3, several rewards interpolated while decoding -> `composition:Dials`, weights
- 4, normalised improvement between the two fine-tuned models -> `composition:normalised_improvement`
- 4, speculative decoding of up-scaled models: one round of drafts -> `speculation:verify`, greedily
  `speculation:verify_greedy`; the loop over rounds is `omnitrain_eft.models.decoding.speculative:SpeculativeLoop`
- 4, amplified up-scaling -> `composition:Dials`, beta_up; the delta inside a nucleus only -> `composition:nucleus`, delta_top_p
"""
