#!/usr/bin/env bash
# Tests Evertoken with other parties' software: moto, the SAM CLI and cfn-lint, AWS's
# CLI and SDKs, Keycloak, an OAuth 2 server and Sharetribe's SDKs. Needs Linux, Go,
# Python 3.10, Node 20, Java 17 or later and Maven; sets up the rest in .venv,
# .venv-sam, .venv-checkov, verify/node/node_modules and build/keycloak, pinned by
# the lock files in this folder. A check that cannot run fails, except the one for known
# vulnerabilities, which needs their database.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$root/build/verify

section() { printf '\n======== %s (after %d s)\n' "$1" "$SECONDS"; }
die() {
  printf '\n################ verify cannot continue: %s\n' "$1" >&2
  exit 1
}
moto=
finish() {
  status=$?
  if [ -n "$moto" ]; then kill "$moto" 2>/dev/null || true; fi
  if [ "$status" -eq 0 ]; then
    printf '\n======== verify: all held, %d s\n' "$SECONDS"
  else
    printf '\n################ verify FAILED after %d s\n' "$SECONDS" >&2
  fi
}
trap finish EXIT

section "what is there"
[ "$(uname -s)" = Linux ] || die "the functions are built for Linux and are run here, so this must be Linux"
for tool in go git python3 node npm make curl java javac mvn; do
  command -v "$tool" >/dev/null || die "$tool is missing"
done
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die "Python 3.10 or later is needed, this is $(python3 --version)"
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || die "Node 20 or later is needed, this is $(node --version)"
go version && python3 --version && echo "node $(node --version)"

# up_to_date STAMP TEXT says whether the set-up was made from this text.
up_to_date() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# venv FOLDER LOCK sets up a virtual environment with exactly the locked packages.
venv() {
  local wanted
  wanted="$(python3 --version) $root $(sha256sum <"$2")"
  if up_to_date "$1/stamp" "$wanted"; then
    echo "$1 is up to date"
    return
  fi
  rm -rf "$1"
  python3 -m venv "$1" || die "python3 -m venv does not work (Debian: apt-get install python3-venv)"
  # The lock is complete: pip installs nothing else.
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$2"
  "$1/bin/pip" check
  echo "$wanted" >"$1/stamp"
}

section "setting up Python"
venv .venv verify/requirements.txt
venv .venv-sam verify/requirements-sam.txt
venv .venv-checkov verify/requirements-checkov.txt

section "setting up Node"
wanted="$(node --version) $(sha256sum <verify/node/package-lock.json)"
if up_to_date verify/node/node_modules/.stamp "$wanted"; then
  echo "verify/node is up to date"
else
  (cd verify/node && npm ci --ignore-scripts --no-audit --no-fund)
  echo "$wanted" >verify/node/node_modules/.stamp
fi

# Nothing here may reach a real account.
export AWS_ACCESS_KEY_ID=verify AWS_SECRET_ACCESS_KEY=verify AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL
export SAM_CLI_TELEMETRY=0

section "setting up Keycloak"
# keycloak VERSION SHA256 unpacks one version. Apiax runs a Keycloak.
keycloak() {
  local home=build/keycloak/keycloak-$1 archive=build/keycloak/$1.tar.gz
  if up_to_date "$home/.stamp" "$2"; then
    echo "$home is up to date"
    return
  fi
  rm -rf "$home" && mkdir -p build/keycloak
  mvn --quiet --batch-mode "$maven_copy" -Dartifact="org.keycloak:keycloak-quarkus-dist:$1:tar.gz" \
    -Dmdep.stripVersion=true -DoutputDirectory="$root/build/keycloak/download" ||
    die "Maven does not deliver Keycloak $1"
  mv build/keycloak/download/keycloak-quarkus-dist.tar.gz "$archive"
  echo "$2  $archive" | sha256sum --check --quiet || die "Keycloak $1 is not the one that was pinned"
  tar -xzf "$archive" -C build/keycloak
  rm -rf "$archive" build/keycloak/download
  echo "$2" >"$home/.stamp"
}
maven_copy=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy
while read -r version sum; do
  keycloak "$version" "$sum"
done <verify/keycloak/versions.txt
export EVERTOKEN_KEYCLOAK=$root/build/keycloak

section "setting up Java's libraries"
wanted=$(sha256sum <verify/java/pom.xml)
if up_to_date build/java/.stamp "$wanted"; then
  echo "build/java is up to date"
else
  rm -rf build/java
  mvn --quiet --batch-mode --file verify/java/pom.xml "${maven_copy}-dependencies" -DoutputDirectory="$root/build/java" ||
    die "Maven does not deliver what verify/java/pom.xml names"
  echo "$wanted" >build/java/.stamp
fi
export EVERTOKEN_JAVA_LIBRARIES=$root/build/java

section "SAM: sam validate --lint, cfn-lint"
.venv-sam/bin/sam validate --lint
.venv/bin/cfn-lint --template template.yaml connection.yaml

section "checkov: the templates against rules for a regulated account"
# The template itself gives the reason for each exception.
.venv-checkov/bin/checkov --skip-download --compact --quiet --framework cloudformation \
  --file template.yaml connection.yaml

section "known vulnerabilities"
if python3 -c 'import urllib.request; urllib.request.urlopen("https://vuln.go.dev/index/db.json", timeout=20)' 2>/dev/null; then
  make --no-print-directory vulnerabilities
else
  printf '%s\n' \
    '################################################################' \
    '## vuln.go.dev cannot be reached from here: it was NOT checked ##' \
    '## whether known vulnerabilities are called. The workflow      ##' \
    '## "vulnerabilities" asks every day.                           ##' \
    '################################################################' >&2
fi

section "reproducible builds"
verify/reproducible.sh

section "SAM: sam build for this machine"
rm -rf "$out"
arch=$(go env GOHOSTARCH)
sam_arch=$arch
if [ "$arch" = amd64 ]; then sam_arch=x86_64; fi
GOARCH_LAMBDA=$arch .venv-sam/bin/sam build --no-cached --build-in-source \
  --build-dir "$out/sam" --parameter-overrides "Architecture=$sam_arch"
for function in issue rotate; do
  make --no-print-directory "build-${function^}Function" "GOARCH_LAMBDA=$arch" "ARTIFACTS_DIR=$out/$function"
done

section "a release, built in two clones"
# The same commit gives the same bytes, wherever it is built.
rm -rf "$out/clones"
for clone in one two; do
  git clone --quiet . "$out/clones/$clone"
  make --no-print-directory -C "$out/clones/$clone" release VERSION=v0.0.0-verify
done
diff --recursive "$out/clones/one/dist" "$out/clones/two/dist" || die "two builds of one commit differ"
cat "$out/clones/one/dist/SHA256SUMS"
export EVERTOKEN_DIST=$out/clones/one/dist

section "moto"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
.venv/bin/moto_server -H 127.0.0.1 -p "$port" >"$out/moto.log" 2>&1 &
moto=$!
export EVERTOKEN_MOTO_URL=http://127.0.0.1:$port
python3 - "$EVERTOKEN_MOTO_URL/moto-api/" <<'PY' || { cat "$out/moto.log" >&2; die "moto_server does not answer"; }
import sys, time, urllib.request
for _ in range(300):
    try:
        sys.exit(urllib.request.urlopen(sys.argv[1], timeout=5).status != 200)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
PY
echo "moto_server answers at $EVERTOKEN_MOTO_URL"

export EVERTOKEN_BOOTSTRAPS=$out EVERTOKEN_SAM_BUILD=$out/sam
export EVERTOKEN_PYTHON_BIN=$root/.venv/bin EVERTOKEN_SAM_PYTHON=$root/.venv-sam/bin/python
EVERTOKEN_NODE=$(command -v node)
export EVERTOKEN_NODE

section "lint of what only runs here"
go tool -modfile=tools/go.mod golangci-lint run --build-tags verify,conformance_aws ./verify/...

section "the checks"
# Keycloak starts slowly on a busy machine: a time-out here would prove nothing.
go test -tags verify -count=1 -timeout 40m ./verify/...
