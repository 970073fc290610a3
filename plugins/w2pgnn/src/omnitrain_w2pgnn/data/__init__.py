"""Graphs as data, and the views of them that encoders are pre-trained on."""
