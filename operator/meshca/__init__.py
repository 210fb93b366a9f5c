"""MeshCA: a Kubernetes operator that rotates the certificate authorities of an Istio mesh."""

__version__ = "0.1.0"
