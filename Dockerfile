# Two images of one file: `sandbox` (API, worker, preparation) and `anvil` (the EVM chain).

# Build tools and the compiler stay behind in this stage.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /build/tools && python -m venv /opt/sandbox
COPY requirements-dev.lock requirements.lock ./
RUN /build/tools/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock
RUN /opt/sandbox/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY merchants merchants
COPY sandbox sandbox
RUN /build/tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/sandbox/bin/pip install --no-cache-dir --no-index --no-deps dist/*.whl \
    && cd /opt/sandbox && bin/python -m contracts.evm_build \
    && bin/python -m compileall -q lib

FROM node:22-bookworm-slim AS anvil-build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
    && cp node_modules/@foundry-rs/anvil-linux-*/bin/anvil /build/anvil

FROM node:22-bookworm-slim AS anvil
RUN mkdir /chain && chown node:node /chain
COPY --from=anvil-build /build/anvil /usr/local/bin/anvil
USER node
VOLUME /chain
EXPOSE 8545
ENTRYPOINT ["anvil"]

FROM python:3.11-slim-bookworm AS sandbox
RUN useradd --system --uid 10001 --no-create-home --home-dir /data sandbox \
    && install --directory --owner sandbox --group sandbox --mode 0700 /data
COPY --from=build /opt/sandbox /opt/sandbox
ENV PATH=/opt/sandbox/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SANDBOX_DATA_DIR=/data
USER sandbox
WORKDIR /data
VOLUME /data
EXPOSE 8000
CMD ["python", "-m", "sandbox.app"]
