"""The method of the paper (arXiv 2207.03637) as pure functions.

Section of the paper -> module:function

- 2, a table as text, as TAPEX (arXiv 2107.07653) writes it -> `linearise:linearise`, `linearise:tapex_text`
- 3.1, what a sentence mentions of a table -> `mentions:find_mentions`
- 3.2, random and salient masking of a sentence with its table -> `denoising:random_masking`, `denoising:salient_masking`; spans
  and the 80/10/10 rule (the algorithm box, so far as the released code has one) -> `masking:mask_tokens`, `masking:clean_spans`
- 3.2, the decoder reads the unmasked sequence, the loss is on what was masked -> `collation:collate`
- 3.3, SQL from templates, executed -> `sql:instantiate`, on `typed_tables:TypedTable`
- 3.3, questions and queries with their answers -> `denoising:answering`
- 4.1, the official denotations of WikiTableQuestions and their one change -> `denotations:correct`, `denotations:answers_of`
- 4.1, the answers of WikiSQL -> `wikisql:execute`
- appendix, tables that are too long -> `cutting:cut_cells`, `cutting:drop_rows`, `denoising:fit`
"""
