// Show prints the build it is part of.
package main

import (
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/build"
)

func main() { fmt.Println(build.Current()) }
