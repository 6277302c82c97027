package providers

import (
	"context"
	"errors"
	"net/http"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/oauth"
	"evertoken/internal/redact"
)

// Probe implements [exchange.Prober] for every provider.
func (b base) Probe(ctx context.Context, c credential.Credential, access redact.Secret) (
	int, error,
) {
	doing := oauth.Doing("probing the token", b.probeURL)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.probeURL, http.NoBody)
	if err != nil { // quotes the URL
		return 0, &exchange.Error{Class: exchange.Misconfigured, Doing: doing,
			Problem: "the URL cannot be used"}
	}
	r.Header.Set("Authorization", "Bearer "+access.Reveal())
	a, err := b.client.Do(ctx, b.policy(c), r, doing)
	if e, ok := errors.AsType[*exchange.Error](err); ok {
		e.Lost = false // a GET changes nothing
		if e.Status != 0 {
			return e.Status, nil // the status is enough, even if the body could not be read
		}
		return 0, e
	}
	return a.Status, err
}

// checkProbe checks the probe that a connection declares.
func (b base) checkProbe(p connection.Probe) error {
	wrong := func(problem string) error {
		return &connection.Error{Connection: b.name, Member: "probe.url", Problem: problem}
	}
	switch {
	case p.Every == 0:
		return nil
	case b.probeURL == "":
		return wrong("is missing: only flexera has a call of its own to probe a token with")
	}
	u, problem := parseURL(b.probeURL, b.http)
	if problem != "" {
		return wrong(problem)
	}
	for name := range u.Query() {
		if reserved[name] {
			return wrong("must not carry " + name + " in its query: URLs are logged")
		}
	}
	return nil
}
