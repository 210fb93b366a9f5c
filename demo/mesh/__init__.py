"""A small mesh that behaves as Istio does where its CA is concerned, and counts handshakes that fail.

It is a detector, so it shares no code with the operator: what it knows of
Istio comes from Istio's own source, and what it knows of certificates from
`cryptography` and OpenSSL. One round trip:

    Secret `cacerts` -> Kubelet -> Istiod -> certificate signing request -> Workload -> mutual TLS with every other

Left out: Envoy, SDS, the ConfigMap for istiod's own serving certificate, trust
bundles pushed to running proxies (PCDS, off by default in Istio).
"""
