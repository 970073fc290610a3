"""The method of the paper (arXiv 2205.05131) as pure functions on numpy arrays.

Section of the paper -> module:function

- 3.1.1, one view of all objectives, SpanCorrupt(mu, r, n) -> `denoisers:Denoiser`, `denoisers:span_corruption`
- 3.1.2 and Table 1, the R, S and X denoisers, and what counts as extreme -> `denoisers:UL2_DENOISERS`, `denoisers:is_extreme`
- 3.1.2, spans of R and X -> `spans:noise_counts`, `spans:draw_equal_spans`, `spans:place_spans`; of a mixed batch in one go ->
  `mixed_spans:draw_sides`; the split of S, a prefix LM -> `prefix:draw_prefix_lengths`
- 3.1.2, one denoiser drawn for each example -> `mixtures:MixtureSampler`
- 3.1.3, mode tokens -> `vocabulary:Vocabulary`, put in front by `corruption:denoise_batch`
- 4.1, the objectives that UL2 is compared with -> `mixtures:MIXTURES`
- 4.3, relative gain over two anchors -> `gains:mean_gains`
- 4.5, rates of the mixture, about 20 % S -> `mixtures:MIXTURES`, "balanced"
- appendix, the listing of the mixture (the algorithm box): raw length of each denoiser -> `lengths:plan_segment`; from segments
  to inputs and targets -> `corruption:denoise_batch`, which writes sentinels by `sentinels:write`
"""
