//go:build !unix || solaris || aix || android

package filestore

import "os"

// unlock does nothing: here the lock goes with the file.
func unlock(*os.File) {}
