package fakelambda

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// peakRSS returns the largest resident set that process pid has had, in bytes,
// or zero when it is gone. It reads VmHWM of proc(5): ru_maxrss of getrusage(2)
// starts from that of the parent and survives exec, so it would measure us.
func peakRSS(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		value, found := strings.CutPrefix(line, "VmHWM:")
		if !found {
			continue
		}
		kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return kB << 10
	}
	return 0
}
