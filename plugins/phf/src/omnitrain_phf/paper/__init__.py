"""Pretraining Language Models with Human Preferences (arXiv 2302.08582), section by section.

Section 2, objectives, with the paper's notation at the head of `losses`:
    likelihood, also of filtered text and of text with control tokens   losses:token_nll
    unlikelihood                                                        losses:unlikelihood_loss
    reward- and advantage-weighted regression                           losses:advantage_loss
    which score belongs to which token                                  alignment:align
    how embeddings of control tokens begin                              control_tokens:grow
Section 3, setup:
    what a model is given to continue, and what of it is scored         scenarios:scenario_inputs, scored_texts
    KL(reference || model)                                              kl:forward_kl, sequence_logprobs
Section 4, experiments:
    misalignment per character, its largest value, share of hits        text_metrics:score_per_character, max_at_k,
                                                                        share_of_hits
    front of misalignment and capability                                pareto:pareto
    red teaming, a pool of prompts that grows by what attacks well      prompt_pool:PromptPool
    diversity of texts                                                  text_metrics:text_metrics
    programs that solve problems                                        text_metrics:pass_at_k

The paper has no algorithm box: a document becomes blocks of scored tokens in `data.blocks:BlockReader`, the losses meet the
model in `objectives`, and finetuning after MLE (section 5) is the recipe phf/feedback.
"""
