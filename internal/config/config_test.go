package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/config"
	"evertoken/internal/hosts"
)

func defaults() config.Config {
	return config.Config{
		ConnectionsPath: "/evertoken/connections/", ParameterPrefix: "/evertoken/",
		Every: 5 * time.Minute, Concurrency: 128, WritesPerSecond: 50, ConnectionMetrics: 100,
		Region: "eu-central-1",
	}
}

func load(env map[string]string) (config.Config, error) {
	return config.Load(func(name string) string {
		if name == "AWS_REGION" {
			return "eu-central-1"
		}
		return env[name]
	})
}

func TestSettingsHaveDefaultsAndEmptyMeansUnset(t *testing.T) {
	t.Parallel()
	empty := map[string]string{}
	for _, name := range config.Names {
		empty[name] = ""
	}
	tests := []struct {
		name   string
		env    map[string]string
		change func(*config.Config)
	}{
		{"unset", nil, func(*config.Config) {}},
		{"empty means unset", empty, func(*config.Config) {}},
		{"paths", map[string]string{"EVERTOKEN_CONNECTIONS_PATH": "/a/b/",
			"EVERTOKEN_PARAMETER_PREFIX": "/a/"}, func(c *config.Config) {
			c.ConnectionsPath, c.ParameterPrefix = "/a/b/", "/a/"
		}},
		{"a key for what is rescued", map[string]string{"EVERTOKEN_RESCUE_KEY": "alias/rescue"},
			func(c *config.Config) { c.RescueKey = "alias/rescue" }},
		{"every, least", map[string]string{"EVERTOKEN_EVERY": "1m"},
			func(c *config.Config) { c.Every = time.Minute }},
		{"every, most", map[string]string{"EVERTOKEN_EVERY": "1h"},
			func(c *config.Config) { c.Every = time.Hour }},
		{"numbers, least", map[string]string{"EVERTOKEN_CONCURRENCY": "1",
			"EVERTOKEN_WRITES_PER_SECOND": "1", "EVERTOKEN_CONNECTION_METRICS": "0"},
			func(c *config.Config) {
				c.Concurrency, c.WritesPerSecond, c.ConnectionMetrics = 1, 1, 0
			}},
		{"numbers, most", map[string]string{"EVERTOKEN_CONCURRENCY": "500",
			"EVERTOKEN_WRITES_PER_SECOND": "50", "EVERTOKEN_CONNECTION_METRICS": "500"},
			func(c *config.Config) {
				c.Concurrency, c.WritesPerSecond, c.ConnectionMetrics = 500, 50, 500
			}},
		{"http on loopback", map[string]string{"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "1"},
			func(c *config.Config) { c.AllowLoopbackHTTP = true }},
		{"allowed hosts",
			map[string]string{"EVERTOKEN_ALLOWED_HOSTS": "login.example.com, *.example.org,fno.example.net:8443"}, func(c *config.Config) {
				c.AllowedHosts = hosts.Must("login.example.com", "*.example.org", "fno.example.net:8443")
			}},
		{"http off", map[string]string{"EVERTOKEN_ALLOW_LOOPBACK_HTTP": "0"}, func(*config.Config) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := load(tt.env)
			if err != nil {
				t.Fatalf("Load: %v", err)
			}
			want := defaults()
			tt.change(&want)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(hosts.Entry{})); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWrongSettingIsRefusedByName(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"EVERTOKEN_CONNECTIONS_PATH":   {"evertoken/", "/evertoken", "x"},
		"EVERTOKEN_PARAMETER_PREFIX":   {"evertoken/", "/evertoken", " /evertoken/"},
		"EVERTOKEN_EVERY":              {"59s", "61m", "5", "1d", "-5m", "x"},
		"EVERTOKEN_CONCURRENCY":        {"0", "501", "-1", "1.5", "x", " 8"},
		"EVERTOKEN_WRITES_PER_SECOND":  {"0", "51", "x"},
		"EVERTOKEN_CONNECTION_METRICS": {"-1", "501", "x"},
		"EVERTOKEN_ALLOWED_HOSTS": {"https://a.example.com", "a.example.com,,b.example.com",
			"*.com", "10.0.0.5", "a.example.com\x1b[2J\n"},
		"EVERTOKEN_ALLOW_LOOPBACK_HTTP": {"true", "yes", "2"},
		"EVERTOKEN_RESCUE_KEY":          {"two words", "key=x", strings.Repeat("a", 257)},
	}
	for name, values := range tests {
		for _, value := range values {
			_, err := load(map[string]string{name: value})
			if err == nil || !strings.HasPrefix(err.Error(), name+" must ") ||
				strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%s=%q: error %v", name, value, err)
			}
		}
	}
}

func TestEveryWrongSettingIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	for _, name := range config.Names {
		env[name] = "wrong!"
	}
	_, err := load(env)
	if err == nil {
		t.Fatal("no error")
	}
	var told []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, _, _ := strings.Cut(line, " ")
		told = append(told, name)
	}
	want := slices.Sorted(slices.Values(config.Names))
	slices.Sort(told)
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("variables named (-want +got):\n%s", diff)
	}
}

func TestNamesListsEveryVariableThatLoadReads(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	_, err := config.Load(func(name string) string { read[name] = true; return "" })
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	want := map[string]bool{"AWS_REGION": true}
	for _, name := range config.Names {
		want[name] = true
	}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("variables read (-want +got):\n%s", diff)
	}
}
