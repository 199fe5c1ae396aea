#!/usr/bin/env bash
# Prints what a lyceum program answers to a host that opens a session and lists
# the tools. Nothing of this shell's environment reaches it: what it lists is
# what it lists by default.
#
#	scripts/list-tools.sh bin/lyceum
set -euo pipefail

env -i "$1" stdio --store memory --log-level error <<'EOF'
{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"list-tools","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
EOF
