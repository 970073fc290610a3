"""Omni-Mol (arXiv 2502.01074), by section; what follows the authors' code where the paper's text could not be read.

Section on unified encoding:
    prompts of all tasks, in one table                 ..tasks.table:TASKS, question, graph_smiles
    the chat template, ids and labels                  chat:chat_prompt, training_row
    node vectors in place of the graph token           fusion:fuse
Section on gradient adaptive LoRA:
    the scale and its boxes                            adaptation:gal_scale
    forward and merge of a layer                       ..models.gal:AdaptedLinear
Section on the anchor-and-reconcile mixture of experts:
    which layers have experts                          experts:moe_layers
    routing, and the balance loss                      experts:route, balance_loss
    experts of one shared MLP                          ..models.experts:Experts
Experiments:
    molecules                                          metrics.molecules:molecule_metrics
    numbers                                            metrics.numbers:extracted_error, orbital_errors, determination
    texts and procedures                               metrics.words:text_metrics, procedure_metrics

The paper's algorithm as a whole is the recipe `paper`: one training over all tasks.
"""
