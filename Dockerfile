# The operator's image: Python, the locked packages, this package. No compiler, nothing to build with, no root.
#
# The base image is named by its exact version. A release adds the digest that this name has on that day
# (`--build-arg PYTHON=...@sha256:...`, see docs/release.md); none is written here that nobody has looked up.
ARG PYTHON=python:3.13.14-slim-trixie

FROM ${PYTHON} AS build

WORKDIR /build
COPY requirements.txt .
# Wheels only, each by its hash: nothing is compiled here, and no setup script of a stranger runs.
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --require-hashes --only-binary=:all: --no-cache-dir --no-compile \
    --disable-pip-version-check --root-user-action=ignore -r requirements.txt

COPY operator/meshca /venv/lib/python3.13/site-packages/meshca
# The root file system is read-only when it runs, so bytecode is made now; by hash, because a layer's times may be
# rewritten. Not of the Kubernetes client's APIs and models: 49 MB, of which the operator imports three small modules.
RUN /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x 'kubernetes/(aio/)?client/(api|models)/[a-z]' /venv/lib


FROM ${PYTHON}

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="meshca" \
      org.opencontainers.image.description="Rotates the certificate authorities of an Istio mesh" \
      org.opencontainers.image.source="https://github.com/meshca/meshca" \
      org.opencontainers.image.documentation="https://github.com/meshca/meshca/blob/main/README.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The user below has no entry in /etc/passwd. The Kubernetes client asks for its home and fails without an answer;
# nothing is kept there.
ENV HOME=/ \
    PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

COPY --from=build /venv /venv

# By number, so that the kubelet can tell that it is not root (runAsNonRoot).
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["python", "-m", "meshca"]
CMD ["run"]
