"""Dialogues: records of files, templates that write them, and rows of tokens in which the replies are known.

A record is read by `records`, written as text by `templates` and encoded at once by `rows`; `prompted` is what data of
dialogues has in common.
"""
