"""UL2: unifying language learning paradigms (arXiv 2205.05131) as a plugin of omnitrain."""

__version__ = "0.1.0"
