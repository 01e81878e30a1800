//go:build programs

// What is built here is the conformance suite of runtime-tools, its programs as they are (build). The import keeps the
// pin in go.mod, and what these need in go.sum.
package programs

import (
	_ "github.com/opencontainers/runtime-tools/validation/util"
)
