# The server of `hanmo serve`, with the two readers that come with hanmo.
#
#   docker build --tag hanmo .
#   docker run --rm --publish 127.0.0.1:8000:8000 --read-only --tmpfs /tmp hanmo
#
# For other computers add --env HANMO_TOKEN=..., and --allow-host NAME at the end if they use a name and no address.
# The image holds no compiler, no PyTorch and no pip cache. The server knows no users: put a proxy before it.

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY licenses licenses
COPY constraints constraints
COPY src src
RUN python -m venv /opt/hanmo \
    && /opt/hanmo/bin/pip install --no-cache-dir --constraint constraints/pinned.txt '.[serve]'

FROM python:3.13-slim
RUN useradd --system --no-create-home --uid 10001 hanmo
COPY --from=build /opt/hanmo /opt/hanmo
USER hanmo
ENV PATH=/opt/hanmo/bin:$PATH PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
# 200 as long as a picture that came now would be read.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
# Inside a container 127.0.0.1 is the container itself; who may connect is decided by --publish.
ENTRYPOINT ["hanmo", "serve", "--host", "0.0.0.0"]
