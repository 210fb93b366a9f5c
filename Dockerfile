# The operator's image: Python, the locked packages, this package; no compiler, no pip beside them, no root.
#
# The base image is named by its exact version. A release pins it by digest as well, and the release workflow is what
# fills that in: `docker buildx imagetools inspect python:3.13.14-slim-trixie` prints it.
ARG PYTHON=python:3.13.14-slim-trixie

FROM ${PYTHON} AS build

WORKDIR /build
COPY requirements.txt .
# Wheels only, each by its hash: nothing is compiled here, and no setup script of a stranger runs.
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --require-hashes --only-binary=:all: -r requirements.txt

COPY operator/meshca /venv/lib/python3.13/site-packages/meshca
# The root file system is read-only when it runs, so bytecode is made now; by hash, because layers do not keep mtimes.
RUN /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib


FROM ${PYTHON}

LABEL org.opencontainers.image.title="meshca" \
      org.opencontainers.image.description="Rotates the certificate authorities of an Istio mesh" \
      org.opencontainers.image.licenses="Apache-2.0"

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

COPY --from=build /venv /venv

# By number, so that the kubelet can tell that it is not root (runAsNonRoot).
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["python", "-m", "meshca"]
CMD ["run"]
