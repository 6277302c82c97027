package rotate

import (
	"context"
	"slices"
	"strings"
	"time"

	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	// maxClients: "At most 2 clients per service account at any one time"
	// (flexera-public/unified-openapi,
	// generator/sources/flexera/iam/v1/openapi.json, tag text).
	maxClients = 2
	// previousLife is how long the client of AWSPREVIOUS is left alone after a
	// promotion: as long as an access token of it lives.
	previousLife = time.Hour
	// clockSkew is by how much our clock, that of AWS and the provider's may
	// differ.
	clockSkew = time.Minute
)

// verdict is what is known of a client of the service account.
type verdict int

const (
	inUse   verdict = iota // it stands in a labelled version
	resting                // it stands in AWSPREVIOUS alone, whose access tokens may live
	free                   // it was certainly made for this secret, and nothing needs it
	foreign                // it may be somebody else's
)

// freeSlot makes room for one more client by deleting one that is certainly
// nobody's, or says which one stands in the way.
func (r *rotation) freeSlot(ctx context.Context, m manager, access redact.Secret) error {
	clients, err := r.listClients(ctx, m, access)
	if err != nil || len(clients) < maxClients {
		return err
	}
	h, err := r.history(ctx, m, clients)
	if err != nil {
		return err
	}
	by := map[verdict][]string{}
	for _, c := range clients {
		v := h.judge(c, m, r.Now())
		by[v] = append(by[v], c.ID)
	}
	const full = "the service account has two clients, the most there can be, and "
	switch {
	case len(by[free]) > 0:
		return r.deleteClient(ctx, m, access, by[free][0])
	case len(by[foreign]) > 0:
		return r.refused(full+strings.Join(by[foreign], " and ")+" may be somebody else's: no version of this secret holds it, and no rotation of it is known to have made it",
			"delete it if nothing uses it (Flexera One, "+m.where()+"); Secrets Manager's next try goes on")
	case len(by[resting]) > 0:
		return r.transient(full + by[resting][0] + ", that of AWSPREVIOUS, is left until " + h.restsUntil().UTC().Format(time.RFC3339) + ", when its last access token has ended")
	}
	return r.refused(full+"labelled versions of this secret hold both", "take the label off the version whose client is no longer used; its client is then deleted (Flexera One, "+m.where()+")")
}

func (r *rotation) listClients(ctx context.Context, m manager, access redact.Secret) ([]providers.Client, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	clients, err := m.ListClients(ctx, access)
	if err != nil {
		x := asExchange(err)
		return nil, r.classified(x.Class, x.Error(), x.Hint)
	}
	return clients, nil
}

func (r *rotation) deleteClient(ctx context.Context, m manager, access redact.Secret, id string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := m.DeleteClient(ctx, access, id); err != nil {
		x := asExchange(err)
		return r.classified(x.Class, x.Error(), x.Hint)
	}
	r.Log.InfoContext(ctx, "deleted a client that is no longer used", "secret_id", r.name, "client_id", id)
	return nil
}

// history is what the secret's versions tell of the clients.
type history struct {
	labels   map[string][]string // of the versions in which each client stands
	stood    map[string]bool     // clients that stand in a version of this secret, labelled or not
	began    time.Time           // of the first rotation that can be told; zero if none
	promoted time.Time           // when AWSCURRENT last moved, as far as can be told
}

// history reads the labelled versions, and where those do not speak for every
// client all the others that there still are.
func (r *rotation) history(ctx context.Context, m manager, clients []providers.Client) (*history, error) {
	versions, err := r.Secrets.Versions(ctx, r.event.SecretID)
	if err != nil {
		return nil, r.aws(string(r.role), r.name, err)
	}
	h := &history{labels: map[string][]string{}, stood: map[string]bool{}}
	// No source dates a label, so the latest of what is known counts as the
	// last promotion.
	if h.promoted, err = r.Secrets.LastRotated(ctx, r.event.SecretID); err != nil {
		return nil, r.aws(string(r.role), r.name, err)
	}
	for _, v := range versions {
		labels := r.keepingLabels(v.ID)
		if len(labels) == 0 {
			continue
		}
		client, _, err := r.readClient(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		h.labels[client] = append(h.labels[client], labels...)
		if (slices.Contains(labels, secrets.Current) || slices.Contains(labels, secrets.Previous)) && v.Created.After(h.promoted) {
			h.promoted = v.Created
		}
	}
	if !slices.ContainsFunc(clients, func(c providers.Client) bool { return len(h.labels[c.ID]) == 0 }) {
		return h, nil
	}
	return h, r.past(ctx, h, versions, m, clients)
}

// past reads every version. began is the earliest time that is certainly not
// before the first rotation: the secret's last change, which the call that began
// this rotation was, or the birth of a version that a rotation made. Such are
// this very version, one without a value (whether these are listed no source
// tells), and one whose client the service account made itself.
func (r *rotation) past(ctx context.Context, h *history, versions []secrets.VersionInfo, m manager, clients []providers.Client) error {
	h.began = r.secret.LastChanged
	for _, v := range versions {
		client, hasValue, err := r.readClient(ctx, v.ID)
		if err != nil {
			return err
		}
		h.stood[client] = true
		selfMade := slices.ContainsFunc(clients, func(c providers.Client) bool { return c.ID == client && m.made(c) })
		if (v.ID == r.id || !hasValue || selfMade) && v.Created.Before(h.began) {
			h.began = v.Created
		}
	}
	return nil
}

// keepingLabels are the labels of a version that keep its client alive. Those
// that Secrets Manager describes count: a listing may be older. A mark that the
// provider refused the version keeps nothing.
func (r *rotation) keepingLabels(versionID string) []string {
	return slices.DeleteFunc(slices.Clone(r.secret.Labels[versionID]), func(l string) bool { return strings.HasPrefix(l, labelRejected) })
}

func (h *history) restsUntil() time.Time { return h.promoted.Add(previousLife) }

// judge says what is known of a client.
func (h *history) judge(c providers.Client, m manager, now time.Time) verdict {
	labels := h.labels[c.ID]
	switch {
	case slices.ContainsFunc(labels, func(l string) bool { return l != secrets.Previous }):
		return inUse
	case len(labels) > 0 && now.Before(h.restsUntil()):
		return resting
	case len(labels) > 0, h.stood[c.ID]:
		return free
	case m.made(c) && !h.began.IsZero() && !c.CreatedAt.IsZero() && !c.CreatedAt.Before(h.began.Add(-clockSkew)):
		return free
	}
	return foreign
}

// made reports whether the service account made the client itself, as rotation
// does. That createdBy of such a client is the service account's own id is not
// documented; if it is another number, the client is left and named.
func (m manager) made(c providers.Client) bool {
	return c.CreatedBy != 0 && c.CreatedBy == m.account.ServiceAccountID
}
