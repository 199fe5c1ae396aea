package main

import (
	"fmt"
	"regexp"
	"strings"
)

// semver is the grammar of Semantic Versioning 2.0.0 without build metadata,
// which orders nothing and would need escaping in a URL.
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?$`)

var notInVersion = regexp.MustCompile(`[^0-9A-Za-z-]+`)

// bundleVersion returns the semantic version that a manifest states: that of the
// build, or for a build without one a version that comes before every release.
func bundleVersion(build string) string {
	if v := strings.TrimPrefix(build, "v"); semver.MatchString(v) {
		return v
	}
	return "0.0.0-dev-" + notInVersion.ReplaceAllString(build, "-")
}

// releaseVersion returns the semantic version of a release. A registry keeps a
// version for good, so nothing else may be published under one.
func releaseVersion(build string) (string, error) {
	v := strings.TrimPrefix(build, "v")
	if !semver.MatchString(v) {
		return "", fmt.Errorf("version %q: want that of a release, such as 1.2.3", build)
	}
	if strings.HasSuffix(v, "-dirty") {
		return "", fmt.Errorf("version %q: the tree has changes that are in no commit", build)
	}
	return v, nil
}
