"""What is written for a mesh, a kind in each module: how it is laid out, read back, and known to be ours."""
