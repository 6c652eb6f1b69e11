# One image for every role: docker-compose.yml starts it as several services.
FROM swift:6.3-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libjemalloc-dev libmongoc-dev libbson-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# Apart from the sources, so that a change of these fetches no package again.
COPY Package.swift ./
RUN swift package resolve
COPY . .
# Swift's libraries go into the binary: the image below has none.
RUN scripts/build \
 && install -D .build/release/magasin /out/magasin

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
    ca-certificates curl libbson-1.0-0 libjemalloc2 libmongoc-1.0-0 libstdc++6 tzdata \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin magasin
COPY --from=build /out/magasin /usr/local/bin/magasin
USER magasin
STOPSIGNAL SIGTERM
ENTRYPOINT ["magasin"]
CMD ["--help"]
