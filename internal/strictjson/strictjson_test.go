package strictjson_test

import (
	"strings"
	"testing"
	"time"

	"evertoken/internal/strictjson"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	good := map[string]time.Duration{
		"10m": 10 * time.Minute, "24h": day, "1d": day, "14d": 14 * day, "1d12h": 36 * time.Hour, "0d": 0, "0s": 0, "1.5h": 90 * time.Minute, "99999d": 99999 * day,
	}
	for text, want := range good {
		if got, err := strictjson.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "10", "-1h", "-1d", "1d-1h", "1.5d", "100000d", "12h1d", " 1d", "1D", "99999d200000h", "cAnArY-51f0"} {
		got, err := strictjson.ParseDuration(text)
		if err == nil || got != 0 {
			t.Errorf("ParseDuration(%q) = %s, %v, want an error", text, got, err)
		}
		if text == "cAnArY-51f0" && strings.Contains(err.Error(), text) {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}
