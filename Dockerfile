# The image of im-gateway; it also holds the reference im-logic: `docker run im-gateway im-logic --config configs/im-logic.yaml`.
FROM node:24.21.0-bookworm AS build
WORKDIR /source
COPY . .
RUN deploy/build-image.sh /app

FROM node:24.21.0-bookworm-slim
RUN mkdir /data && chown node:node /data
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH
WORKDIR /app
USER node
# Clients · metrics
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/health').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT []
CMD ["im-gateway"]
