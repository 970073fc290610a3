"""Decoding of a composition: plain, and speculative in the block size asked for."""
