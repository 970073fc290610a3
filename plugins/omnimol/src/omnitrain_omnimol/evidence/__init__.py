"""Claims, their measures, parity with the official code, and benches."""
