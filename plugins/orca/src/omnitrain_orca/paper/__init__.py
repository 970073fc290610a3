"""Orca: Progressive Learning from Complex Explanation Traces of GPT-4 (arXiv 2306.02707), section by section.

Section 3.1, data:
    collections of FLAN and which templates count        sampling:COLLECTIONS, sampling:ZERO_SHOT
    Algorithm 1, the paper's only box                    sampling:draw_tasks, sampling:drawn_places
    what of T0 is an exam                                sampling:is_big_bench
    system messages by collection (table 2)              systems:SETS, systems:system_of
    which queries show options                           systems:is_multiple_choice
Section 4, exams, zero-shot:
    AGIEval                                              agieval:prompt, agieval:first_letter
    BIG-Bench Hard                                       bbh:extracted, bbh:matches
    TruthfulQA, multiple choice                          truthfulqa:mc1, truthfulqa:mc2
    open questions, two scores by a judge                judging:asked, judging:judged_scores

Section 3.2, packed rows and the loss on responses alone, is `language/instructions`; progressive learning is two stages
`core/fit` in the recipes.
"""
