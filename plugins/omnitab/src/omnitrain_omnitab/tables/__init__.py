"""Tables and questions about them: reading, made ones, their tokens."""
