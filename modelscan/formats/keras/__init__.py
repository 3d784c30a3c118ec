"""Keras files of every version: the `.keras` archive and HDF5 in its three layouts."""
