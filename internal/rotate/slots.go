package rotate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"evertoken/internal/limits"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// clientTag is the tag of a credential's secret by which an operator says which
// clients are that secret's alone, so that rotation may delete them once they
// are replaced. It holds one id, or several with spaces between.
const clientTag = "evertoken:delete-client"

// verdict is what is known of a client of the account.
type verdict int

const (
	inUse   verdict = iota // it stands in a labelled version
	resting                // it stands in AWSPREVIOUS alone, whose access tokens may live
	free                   // it is this secret's alone, and nothing needs it
	foreign                // nothing proves that it is this secret's alone
)

// freeSlot makes room for one more client by deleting one that is certainly
// nobody's, or says which one stands in the way.
func (r *rotation) freeSlot(ctx context.Context, m manager, access redact.Secret) error {
	clients, err := r.listClients(ctx, m, access)
	if err != nil || len(clients) < m.MaxClients() {
		return err
	}
	h, err := r.history(ctx, m, clients)
	if err != nil {
		return err
	}
	by := map[verdict][]providers.Client{}
	for _, c := range clients {
		v := h.judge(c, r.Now())
		by[v] = append(by[v], c)
	}
	full := fmt.Sprintf("the account (%s) has %d clients, the most there can be, and ", m.Account(), len(clients))
	switch {
	case len(by[free]) > 0:
		return r.deleteClient(ctx, m, access, by[free][0].ID)
	case len(by[foreign]) > 0:
		c := by[foreign][0]
		return r.refused(full+described(by[foreign])+" may belong to another system: no rotation of this secret recorded that it made it",
			"If nothing else uses "+c.ID+", delete it at the provider, or let Evertoken delete it: "+
				nameCommand(r.name, append(r.named(), c.ID)...)+". Then Secrets Manager's next attempt continues.")
	case len(by[resting]) > 0:
		return r.transient(full + by[resting][0].ID + ", the client of AWSPREVIOUS, stays until " + h.restsUntil().UTC().Format(time.RFC3339) + ", when its last access token has ended")
	}
	return r.refused(full+"labelled versions of this secret hold all of them",
		"Remove the label from the version whose client is no longer used. The next rotation then deletes its client.")
}

// described names clients, and who made them, as far as the provider tells.
func described(clients []providers.Client) string {
	var out []string
	for _, c := range clients {
		one := c.ID
		if !c.CreatedAt.IsZero() {
			one += fmt.Sprintf(" (made %s by %d)", c.CreatedAt.UTC().Format(time.RFC3339), c.CreatedBy)
		}
		out = append(out, one)
	}
	return strings.Join(out, " and ")
}

func (r *rotation) listClients(ctx context.Context, m manager, access redact.Secret) ([]providers.Client, error) {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	clients, err := m.ListClients(ctx, m.doc, access)
	if err != nil {
		x := asExchange(err)
		return nil, r.classified(x.Class, x.Error(), x.Hint)
	}
	return clients, nil
}

func (r *rotation) deleteClient(ctx context.Context, m manager, access redact.Secret, id string) error {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	if err := m.DeleteClient(ctx, m.doc, access, id); err != nil {
		x := asExchange(err)
		return r.classified(x.Class, x.Error(), x.Hint)
	}
	r.Log.InfoContext(ctx, "deleted a client that is no longer used", "secret_id", r.name, "client_id", id)
	return nil
}

// history is what the secret's versions tell of the clients.
type history struct {
	labels   map[string][]string // of the versions in which each client stands
	own      map[string]bool     // clients that are this secret's alone
	promoted time.Time           // when AWSCURRENT last moved, as far as can be told
	life     time.Duration       // of an access token
}

// history reads the labelled versions, and where those do not speak for every
// client all the others that there still are: a client is this secret's own
// where a version says so that this secret's rotation wrote, or the operator's
// tag.
func (r *rotation) history(ctx context.Context, m manager, clients []providers.Client) (*history, error) {
	versions, err := r.Secrets.Versions(ctx, r.event.SecretID)
	if err != nil {
		return nil, r.aws(string(r.role), r.name, err)
	}
	h := &history{labels: map[string][]string{}, own: map[string]bool{}, life: m.TokenLife()}
	for _, id := range r.named() {
		h.own[id] = true
	}
	// No source dates a label, so the latest of what is known counts as the
	// last promotion.
	if h.promoted, err = r.Secrets.LastRotated(ctx, r.event.SecretID); err != nil {
		return nil, r.aws(string(r.role), r.name, err)
	}
	var others []secrets.VersionInfo
	for _, v := range versions {
		labels := r.keepingLabels(v.ID)
		if len(labels) == 0 {
			others = append(others, v)
			continue
		}
		client, own, err := r.readClient(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		h.labels[client] = append(h.labels[client], labels...)
		h.own[client] = h.own[client] || own
		if (slices.Contains(labels, secrets.Current) || slices.Contains(labels, secrets.Previous)) && v.Created.After(h.promoted) {
			h.promoted = v.Created
		}
	}
	for _, v := range others {
		if !slices.ContainsFunc(clients, func(c providers.Client) bool { return !h.own[c.ID] && !h.used(c.ID) }) {
			break // the rest of the versions could tell nothing more
		}
		client, own, err := r.readClient(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		h.own[client] = h.own[client] || own
	}
	return h, nil
}

// named are the clients that an operator says are this secret's alone.
func (r *rotation) named() []string {
	return strings.FieldsFunc(r.secret.Tags[clientTag], func(c rune) bool { return c == ' ' || c == ',' })
}

// keepingLabels are the labels of a version that keep its client alive. Those
// that Secrets Manager describes count: a listing may be older. A mark that the
// provider refused the version keeps nothing.
func (r *rotation) keepingLabels(versionID string) []string {
	return slices.DeleteFunc(slices.Clone(r.secret.Labels[versionID]), func(l string) bool { return renew.IsNote(l) || l == labelMade })
}

func (h *history) restsUntil() time.Time { return h.promoted.Add(h.life) }

// used reports whether a label other than AWSPREVIOUS keeps the client.
func (h *history) used(client string) bool {
	return slices.ContainsFunc(h.labels[client], func(l string) bool { return l != secrets.Previous })
}

// judge says what is known of a client.
func (h *history) judge(c providers.Client, now time.Time) verdict {
	switch {
	case h.used(c.ID):
		return inUse
	case !h.own[c.ID]:
		return foreign
	case len(h.labels[c.ID]) > 0 && now.Before(h.restsUntil()):
		return resting
	}
	return free
}
