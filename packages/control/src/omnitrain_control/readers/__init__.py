"""Trajectories as users have them: flat arrays, dictionaries, files of episodes, in npz, HDF5, pickles of arrays, Minari."""
