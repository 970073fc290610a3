"""The rules and losses of the paper (arXiv 2206.11795) as pure functions.

Section of the paper -> module:function, here or in the package

- method, inverse dynamics model (4.1; app. D) -> `omnitrain_vpt.models.network.policy:InverseDynamics`; its loss
  -> `objectives:Inverse`; one draw of changes for a window (app. D.1) -> `data.augment:augmented`
- pseudo-labels (app. D.2): which window labels which frame -> `windows:plan_windows`; the labels ->
  `models.labeller:label_frames`
- cleaning of web video (app. A.3) -> `cleaning:median_filter`, `cleaning:clean_runs`, applied by `stages.clean:judge`
- contractor recordings (app. B, E): a line as an action and back -> `minecraft:action_of_line`, `minecraft:SequenceRules`,
  `minecraft:LineWriter`; their files -> `recordings.format:read_track`
- action space (app. C, D): factored and joint -> `actions:to_joint`, `actions:to_factored`; camera bins -> `actions:CAMERA`;
  null actions -> `actions:is_null`
- foundation model (4.2; app. E) -> `models.network.policy:MinecraftPolicy`, its memory `models.network.attention:memory_mask`;
  behavioural cloning over streams of chunks -> `objectives:Cloning`, `data.stream:ChunkStream`
- fine-tuning by cloning (4.3; app. F) -> the same objective on other recordings: recipe "chain"
- fine-tuning by reinforcement (4.4; app. G): the clipped surrogate -> `phasic:policy_loss`; KL to the pretrained policy and its
  decay -> `phasic:leash`; distilling the value -> `phasic:sleep_loss`; what pays (app. G.1) -> `rewards:DIAMOND_PICKAXE`,
  `rewards:ItemRewards`
- algorithm, as the phasic policy gradient has it (the paper prints none): wake and sleep -> `stages.reinforce:Phasic`; an
  iteration of playing, waking and sleeping -> `stages.reinforce:Reinforcement.iteration`
"""
