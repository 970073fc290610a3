"""What says how bad a text is, and the scoring of whole corpora."""
