package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestAColdStartLoadsLittle counts what Evertoken's packages allocate before main: a
// regular expression or a table that is made at package level slows every start.
// e2e/bench measures the time.
func TestAColdStartLoadsLittle(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	w := newWorld(t, options{env: []string{"GODEBUG=inittrace=1"}})
	result, err := w.invoke(w.function, `{"dry_run":true}`)
	if err != nil || result.FunctionError != "" {
		t.Fatalf("%s, %v", result.Payload, err)
	}
	// init evertoken/internal/x @1.2 ms, 0.029 ms clock, 2392 bytes, 27 allocs
	line := regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes`)
	packages, bytes, heavy := 0, 0, []string{}
	for _, m := range line.FindAllStringSubmatch(string(result.Logs), -1) {
		packages++
		if n, _ := strconv.Atoi(m[2]); strings.HasPrefix(m[1], "evertoken/") {
			bytes += n
			heavy = append(heavy, m[1]+": "+m[2])
		}
	}
	if packages < 20 {
		t.Fatalf("the runtime named %d packages:\n%s", packages, result.Logs)
	}
	if bytes > most {
		t.Errorf("%d bytes before main, at most %d: make what is heavy when it is first used (internal/lazyregexp)\n%s", bytes, most, strings.Join(heavy, "\n"))
	}
}
