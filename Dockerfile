# The worker. CPU by default; for a GPU:  docker build --build-arg ENGINE=gpu .
# (the CUDA libraries come with torch; the host brings its driver and container toolkit).
ARG PYTHON=3.12

# The native core: one wheel for every Python from 3.11 on. Nothing of Rust is in the image.
FROM rust:1.89-slim AS rust
FROM python:${PYTHON} AS core
ENV PATH=/usr/local/cargo/bin:$PATH \
    CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/python requirements/network.py \
        pip install --no-cache-dir --require-hashes -r requirements/native.txt
COPY core/ core/
RUN /opt/build/bin/maturin build --release --locked --manifest-path core/Cargo.toml --out /wheels

FROM python:${PYTHON}-slim AS build
ARG ENGINE=base
WORKDIR /src
COPY requirements/ requirements/
# The pins come before the code, so that a change of code fetches nothing again.
RUN python -m venv /opt/lately \
    && /opt/lately/bin/python requirements/network.py \
        pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
    && /opt/lately/bin/python requirements/network.py \
        uv pip install --no-cache --compile-bytecode \
        --python /opt/lately/bin/python --require-hashes -r "requirements/${ENGINE}.txt"
COPY pyproject.toml README.md LICENSE ./
COPY model/ model/
COPY stream/ stream/
COPY --from=core /wheels/ /wheels/
RUN /opt/lately/bin/python -m uv pip install --no-cache --compile-bytecode --no-deps --no-index \
        --no-build-isolation --python /opt/lately/bin/python . /wheels/*.whl \
    && /opt/lately/bin/python -m uv pip uninstall --python /opt/lately/bin/python uv pip

FROM python:${PYTHON}-slim
# Writes nothing outside the state directory, so the root may be read-only.
ENV PATH=/opt/lately/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LATELY_HTTP=0.0.0.0:8090 \
    LATELY_LOG_FORMAT=json \
    LATELY_STATE_DIR=/var/lib/lately
COPY --from=build /opt/lately /opt/lately
RUN install -d -o 10001 -g 10001 /var/lib/lately
USER 10001:10001
VOLUME /var/lib/lately
EXPOSE 8090
# Alive, not ready: a worker without a broker waits, and starting it anew would not help.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8090/livez')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["lately"]
CMD ["worker"]
