"""The method of the paper (arXiv 2303.10070) as pure functions, and the measures and baselines beside it.

Section of the paper -> module:function, here or in the package

- 3, the problem: tasks with disjoint classes, no old examples -> `omnitrain_tuning.scenario:class_incremental`,
  `omnitrain_tuning.scenario:Scenario`
- 3, the modules that are tuned -> `omnitrain_tuning.adapter:AdapterPet` (convolutions:
  `omnitrain_tuning.adapter:ConvAdapterPet`), `omnitrain_tuning.lora:LoraPet`, `omnitrain_tuning.prefix:PrefixPet`; their
  places in any backbone -> `omnitrain_tuning.blocks:find_blocks`, `places:paper_blocks`
- 3.1, adaptation speed calibrated: the prefix's share of the softmax made up for -> `calibration:compensate`, in one with the
  attention of the backbone `calibration:fast_prefix_attention`; a learnable scale of every module ->
  `omnitrain_tuning.methods:scale_parameter`
- 3.1, learning: a loss over the current task's classes only -> `omnitrain_lae.objectives:local_cross_entropy`; learning rate by
  batch size and step -> `schedules:scaled_learning_rate`, `schedules:learning_rate_at`
- 3.2, accumulation -> `accumulation:accumulate`; its decay for other batches and lengths -> `accumulation:decay_and_rule`
- 3.3, ensemble -> `ensemble:ensemble_scores`; every expert's answer beside it -> `ensemble:answer`
- algorithm box, learning, accumulation and ensemble over tasks, epochs and steps ->
  `omnitrain_lae.stages.learning:Learning`; its line "forward, backward, step, accumulate" is `Learning.one_step`
- 4, last and average incremental accuracy, forgetting -> `omnitrain_tuning.metrics:incremental_accuracy`,
  `omnitrain_tuning.metrics:summarise`, `omnitrain_tuning.metrics:forgetting`
- baseline, elastic weight consolidation (arXiv 1612.00796) -> `omnitrain_tuning.consolidation:Consolidation`
"""
