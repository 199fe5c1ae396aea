//go:build race

package filestore

// raceDetector says that the detector looks at every access. It reads the shadow
// of whatever address a damaged page leads to, and a fault there, in its own code,
// ends the process where the store would have had an error.
const raceDetector = true
