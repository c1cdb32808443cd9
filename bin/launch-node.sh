#!/bin/sh
# launch-node.sh MAIN ARGS...: runs a built command, given by its path in the repository, on the Node that the repository brings, else on
# the machine's.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
main=$root/$1
shift

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
node=$root/node_modules/node-$os-$arch/bin/node
if [ ! -x "$node" ]; then
  version=$(node -p 'process.versions.node' 2>/dev/null || echo none)
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$version" = none ] || [ "${version%%.*}" -lt 22 ] || { [ "${version%%.*}" -eq 22 ] && [ "$minor" -lt 22 ]; }; then
    echo "Node 22.22 or newer is needed (found: $version): run make build, which installs one here, or put one on PATH" >&2
    exit 1
  fi
  node=node
fi

# ExperimentalWarning: node:sqlite. TimeoutNegativeWarning: kafkajs on Node 24.
exec "$node" --disable-warning=ExperimentalWarning --disable-warning=TimeoutNegativeWarning "$main" "$@"
