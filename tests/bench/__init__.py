"""Speed of the operator on a real kube-apiserver."""
