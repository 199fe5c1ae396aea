package bridge

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropCode unmaps the pages of the program's own file that nothing has changed: the
// kernel maps them again, from its cache, where they are used. A program that can
// be a whole server touches most of itself while it starts, and of that a bridge
// needs little again. It stops at what it cannot read.
func dropCode() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var start, end uintptr // of the mapping that the lines are about; 0 if it is another's, or can be written to
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			start, end = 0, 0
			from, to, _ := strings.Cut(fields[0], "-")
			a, errA := strconv.ParseUint(from, 16, 64)
			z, errZ := strconv.ParseUint(to, 16, 64)
			if errA == nil && errZ == nil && len(fields) == 6 && fields[5] == self && !strings.Contains(fields[1], "w") {
				start, end = uintptr(a), uintptr(z)
			}
		case start != 0 && fields[0] == "Anonymous:" && fields[1] == "0": // no page has a content of its own that would be lost
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, end-start, syscall.MADV_DONTNEED) // refused: they stay
		}
	}
}
