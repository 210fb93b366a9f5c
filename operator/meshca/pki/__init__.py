"""Keys, certificates and the proof that they work: cryptography only, no clock, no I/O, nothing of Kubernetes."""
