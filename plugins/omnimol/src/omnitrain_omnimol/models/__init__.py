"""The graph encoder, adapters, experts, and the model that joins them to a language model."""
