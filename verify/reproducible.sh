#!/usr/bin/env bash
# Builds the deployed functions twice: in two clones of the last commit, at paths of
# different length, the second with an empty cache. Both must have the same bytes
# and contain that commit.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse HEAD) || {
  echo "this is no clone, so it cannot be told which commit is built" >&2
  exit 1
}
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

build() { # FOLDER CACHE
  git clone --quiet --no-checkout . "$1"
  git -C "$1" checkout --quiet --detach "$commit"
  GOCACHE=$2 make --no-print-directory -C "$1" build ARCHES=arm64 >/dev/null
}
build "$work/a" "$(go env GOCACHE)"
build "$work/another/and/longer/path" "$work/cache"
for function in issue rotate; do
  binary=build/arm64/$function/bootstrap
  cmp "$work/a/$binary" "$work/another/and/longer/path/$binary" || {
    echo "$function: two builds of one commit differ" >&2
    exit 1
  }
  go version -m "$work/a/$binary" | grep -q "vcs.revision=$commit" || {
    echo "$function does not tell the commit that it was built from" >&2
    exit 1
  }
  if grep -q "$work" "$work/a/$binary"; then
    echo "$function holds a path of this machine" >&2
    exit 1
  fi
  echo "$function: $(sha256sum <"$work/a/$binary" | cut -c1-64) twice, of $commit"
done
