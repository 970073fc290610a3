"""Learning tasks one after the other, and comparing what was learned."""
