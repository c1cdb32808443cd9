#!/bin/sh
# launch.sh node|bun MAIN ARGS...: runs a built command, given by its path in the repository, on the runtime that the repository brings,
# else on the machine's.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
runtime=$1
main=$root/$2
shift 2

if [ ! -f "$main" ]; then
  echo "$main is not built: run make build first" >&2
  exit 1
fi

case $(uname -s) in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  *) os=other ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=other ;;
esac

if [ "$runtime" = bun ]; then
  name=Bun
  least=1.4
  [ "$arch" = arm64 ] && arch=aarch64
  program=$root/node_modules/@oven/bun-$os-$arch/bin/bun
else
  name=Node
  least=22.22
  program=$root/node_modules/node-$os-$arch/bin/node
fi
if [ ! -x "$program" ]; then
  program=$runtime
  version=$("$program" --version 2>/dev/null || echo none)
  version=${version#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$version" = none ] || [ "$major" -lt "${least%.*}" ] || { [ "$major" -eq "${least%.*}" ] && [ "$minor" -lt "${least#*.}" ]; }; then
    echo "$name $least or newer is needed (found: $version): run make build, which installs one here, or put one on PATH" >&2
    exit 1
  fi
fi

if [ "$runtime" = bun ]; then
  # The command's configuration is its own: no bunfig.toml (preload) and no .env of the folder that it is started in.
  exec "$program" --no-install --no-env-file --config=/dev/null "$main" "$@"
fi
# ExperimentalWarning: node:sqlite. TimeoutNegativeWarning: kafkajs on Node 24.
exec "$program" --disable-warning=ExperimentalWarning --disable-warning=TimeoutNegativeWarning "$main" "$@"
