"""Istio: the Secret that an istiod reads, and the istiods and meshes around it."""
