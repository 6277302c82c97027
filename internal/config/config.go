// Package config reads Evertoken's settings from the environment, once, and
// reports every fault in them at once.
package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"evertoken/internal/hosts"
)

// Config is every setting of both functions. An empty variable counts as unset.
type Config struct {
	// ConnectionsPath is EVERTOKEN_CONNECTIONS_PATH, the SSM path of the connections
	// (default /evertoken/connections/).
	ConnectionsPath string
	// ParameterPrefix is EVERTOKEN_PARAMETER_PREFIX, the SSM path below which Evertoken may
	// write parameters (default /evertoken/).
	ParameterPrefix string
	// RescueKey is EVERTOKEN_RESCUE_KEY, the KMS key of the parameters in which Evertoken
	// stores sessions that Secrets Manager does not accept; empty for the account's default
	// key.
	RescueKey string
	// Every is EVERTOKEN_EVERY, the interval of the schedule (default 5m).
	Every time.Duration
	// Concurrency is EVERTOKEN_CONCURRENCY, the most connections that a run renews at the
	// same time (default 128). The default uses the whole write quota if providers take two
	// seconds to answer. Each provider's host has its own limit.
	Concurrency int
	// WritesPerSecond is EVERTOKEN_WRITES_PER_SECOND, the most writes to Secrets Manager
	// that a run makes per second (default 50, the account's whole quota). A run starts
	// with half of it and adapts to AWS's throttling.
	WritesPerSecond int
	// ConnectionMetrics is EVERTOKEN_CONNECTION_METRICS, how many connections have their
	// own metrics (default 100); 0 for none. CloudWatch charges for each.
	ConnectionMetrics int
	// AllowLoopbackHTTP is EVERTOKEN_ALLOW_LOOPBACK_HTTP=1: Evertoken may call a provider
	// on this machine without TLS.
	AllowLoopbackHTTP bool
	// AllowedHosts is EVERTOKEN_ALLOWED_HOSTS: the hosts, in addition to the providers'
	// own, to which a credential without a member "hosts" may be sent.
	AllowedHosts hosts.List
	// Region is AWS_REGION, the Region of everything that Evertoken reads and writes.
	Region string
}

// Names are the variables that [Load] reads, the SDK's AWS_REGION aside.
var Names = []string{
	"EVERTOKEN_CONNECTIONS_PATH", "EVERTOKEN_PARAMETER_PREFIX", "EVERTOKEN_RESCUE_KEY",
	"EVERTOKEN_EVERY", "EVERTOKEN_CONCURRENCY", "EVERTOKEN_WRITES_PER_SECOND",
	"EVERTOKEN_CONNECTION_METRICS",
	"EVERTOKEN_ALLOWED_HOSTS", "EVERTOKEN_ALLOW_LOOPBACK_HTTP",
}

// mostConnectionMetrics is how many time series an alarm on a Metrics Insights query
// evaluates (CloudWatch user guide, "Limits", of alarms).
const mostConnectionMetrics = 500

// Load reads the settings through getenv.
func Load(getenv func(string) string) (Config, error) {
	c := Config{
		ConnectionsPath: "/evertoken/connections/", ParameterPrefix: "/evertoken/",
		Every: 5 * time.Minute, Concurrency: 128, WritesPerSecond: 50, ConnectionMetrics: 100,
		Region: getenv("AWS_REGION"),
	}
	var problems []error
	path := func(name string, to *string) {
		v := getenv(name)
		if v == "" {
			return
		}
		if !strings.HasPrefix(v, "/") || !strings.HasSuffix(v, "/") {
			problems = append(problems, fmt.Errorf("%s must begin and end with a slash, "+
				"such as %s", name, *to))
			return
		}
		*to = v
	}
	number := func(name string, least, most int, to *int) {
		v := getenv(name)
		if v == "" {
			return
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			problems = append(problems, fmt.Errorf("%s must be a whole number "+
				"from %d to %d", name, least, most))
			return
		}
		*to = n
	}
	path("EVERTOKEN_CONNECTIONS_PATH", &c.ConnectionsPath)
	path("EVERTOKEN_PARAMETER_PREFIX", &c.ParameterPrefix)
	number("EVERTOKEN_CONCURRENCY", 1, 500, &c.Concurrency)
	number("EVERTOKEN_WRITES_PER_SECOND", 1, 50, &c.WritesPerSecond)
	number("EVERTOKEN_CONNECTION_METRICS", 0, mostConnectionMetrics, &c.ConnectionMetrics)
	if v := getenv("EVERTOKEN_EVERY"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Minute || d > time.Hour {
			problems = append(problems, errors.New("EVERTOKEN_EVERY must be a duration from 1m "+
				"to 1h, such as 5m"))
		} else {
			c.Every = d
		}
	}
	var err error
	if c.AllowedHosts, err = hosts.Parse(getenv("EVERTOKEN_ALLOWED_HOSTS")); err != nil {
		problems = append(problems, fmt.Errorf(
			"EVERTOKEN_ALLOWED_HOSTS must be a comma-separated list of hosts (the template's "+
				"parameter AllowedHosts): %w", err))
	}
	c.RescueKey = getenv("EVERTOKEN_RESCUE_KEY")
	if len(c.RescueKey) > 256 || strings.ContainsFunc(c.RescueKey, notInKeyID) {
		problems = append(problems, errors.New("EVERTOKEN_RESCUE_KEY must be a KMS key's ARN, "+
			"id or alias, such as alias/rescue"))
	}
	switch getenv("EVERTOKEN_ALLOW_LOOPBACK_HTTP") {
	case "", "0":
	case "1":
		c.AllowLoopbackHTTP = true
	default:
		problems = append(problems, errors.New("EVERTOKEN_ALLOW_LOOPBACK_HTTP must be 1, "+
			"0 or empty"))
	}
	return c, errors.Join(problems...)
}

// notInKeyID reports whether a character can never occur in a key's id, ARN or alias
// (botocore model, ssm PutParameter: ParameterKeyId).
func notInKeyID(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') &&
		!strings.ContainsRune(":/_-", r)
}
