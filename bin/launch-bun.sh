#!/bin/sh
# launch-bun.sh MAIN ARGS...: runs a built command, given by its path in the repository, on the Bun that the repository brings, else on
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
  aarch64 | arm64) arch=aarch64 ;;
  *) arch=other ;;
esac
bun=$root/node_modules/@oven/bun-$os-$arch/bin/bun
if [ ! -x "$bun" ]; then
  version=$(bun --version 2>/dev/null || echo none)
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$version" = none ] || [ "${version%%.*}" -lt 1 ] || { [ "${version%%.*}" -eq 1 ] && [ "$minor" -lt 4 ]; }; then
    echo "Bun 1.4 or newer is needed (found: $version): run make build, which installs one here, or put one on PATH" >&2
    exit 1
  fi
  bun=bun
fi

# The command's configuration is its own: no bunfig.toml (preload) and no .env of the folder that it is started in.
exec "$bun" --no-install --no-env-file --config=/dev/null "$main" "$@"
