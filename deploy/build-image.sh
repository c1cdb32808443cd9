#!/bin/sh
# build-image.sh TARGET: builds this source tree and puts what runs into TARGET: bin/, the built packages and the production dependencies of
# the lockfile. It is the whole of the image's build, so that it can be tried without Docker.
set -eu
target=$1
cd "$(dirname -- "$0")/.."

make build

mkdir -p "$target/configs" "$target/examples"
cp configs/*.yaml "$target/configs"
# The chat page of the embedded default, on the client SDK's build.
cp -R examples/web-chat "$target/examples"
cp -R bin patches package.json pnpm-lock.yaml pnpm-workspace.yaml "$target"
for package in proto packages/core packages/adapters packages/logic packages/server-node packages/client-sdk; do
  mkdir -p "$target/$package"
  cp -R "$package/package.json" "$package/dist" "$target/$package"
done
find "$target" -name .tsbuildinfo -exec rm {} +

.tools/node_modules/.bin/pnpm --dir "$target" --filter @im-gateway/server-node... install --prod --no-optional --frozen-lockfile --reporter=append-only --loglevel=warn
