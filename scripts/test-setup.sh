#!/usr/bin/env bash
# Sees to it that the tests find what they use: a C compiler for the race
# detector, Chromium for the admin page, promtool for the rules in deploy, and
# Node with the packages of test/clients for clients in other languages. On Debian as root it installs
# what is missing; elsewhere it names it and fails. Running it again is cheap.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

has() { command -v "$1" >/dev/null 2>&1; }

# A compiler without the C library's headers does not link the race detector.
has_cc() { has gcc && echo '#include <stdlib.h>' | gcc -E -x c - >/dev/null 2>&1; }

has_browser() { has chromium || has chromium-browser || has google-chrome; }

missing() {
	echo "test-setup: missing: $*" >&2
	echo "test-setup: install them with your package manager and run this again" >&2
	exit 1
}

packages=()
has_cc || packages+=(gcc libc6-dev)
has_browser || packages+=(chromium)

if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
		missing "${packages[@]}"
	fi
	echo "test-setup: installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -o DPkg::Lock::Timeout=300 update
	apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${packages[@]}" >/dev/null
fi

# Of Prometheus only the tool: installing the package would start a server.
if ! has promtool; then
	if [ "$(id -u)" -ne 0 ] || ! has apt-get; then
		missing "promtool (Debian: package prometheus)"
	fi
	echo "test-setup: installing promtool"
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	chmod 755 "$folder"
	apt-get -qq -o DPkg::Lock::Timeout=300 update
	(cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download prometheus >/dev/null)
	dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -x -C "$folder" ./usr/bin/promtool
	install -m 755 "$folder/usr/bin/promtool" /usr/local/bin/promtool
fi

clients=test/clients
if [ -f "$clients/package-lock.json" ]; then
	if ! has node || ! has npm; then
		echo "test-setup: missing: Node.js 20 or later, with npm, for $clients" >&2
		exit 1
	fi
	# npm writes this file last, so an interrupted installation is repeated.
	if [ ! "$clients/node_modules/.package-lock.json" -nt "$clients/package-lock.json" ]; then
		(cd "$clients" && npm ci --ignore-scripts --no-audit --no-fund)
	fi
fi
