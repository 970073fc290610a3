"""Labelled images from arrays, archives and folders, without torchvision."""
