"""Answers of language models behind one interface.

`asking.open_chat(config, run)` makes what a `configs.chat.ChatConfig` describes; `Chat.ask` answers requests and keeps every
answer. messages: requests, answers, keys. endpoint: a server in OpenAI's form, with limits, wire, replies and backoff below.
local: a model of a stage. recorded, rules: a file, a function. budget: prices and the limit of money. planning: the dry run.
"""
