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

// clientTag is a tag on a credential's secret. By it an operator confirms that only that
// secret uses the clients named, so that rotation may delete them once it has replaced
// them. It holds one id, or several separated by spaces.
const clientTag = "evertoken:delete-client"

// verdict is what is known of a client of the account.
type verdict int

const (
	inUse   verdict = iota // a labelled version holds it
	retired                // only AWSPREVIOUS holds it, and its access tokens may still live
	free                   // only this secret used it, and no version needs it
	foreign                // another system may use it
)

// freeSlot makes room for one more client. It deletes one that certainly nothing uses, or
// says which client blocks the rotation.
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
	full := fmt.Sprintf("the account (%s) has %d clients, the most there can be, and ", m.Account(),
		len(clients))
	switch {
	case len(by[free]) > 0:
		return r.deleteClient(ctx, m, access, by[free][0].ID)
	case len(by[foreign]) > 0:
		c := by[foreign][0]
		return r.refused(full+providers.DescribeClients(by[foreign], " and ")+" may belong to another system: "+
			"no rotation of this secret recorded that it made it",
			"If nothing else uses "+c.ID+", delete it at the provider, or let Evertoken delete it: "+
				nameCommand(r.name, append(r.named(), c.ID)...)+
				". Then Secrets Manager's next attempt continues.")
	case len(by[retired]) > 0:
		return r.transient(full + by[retired][0].ID + ", the client of AWSPREVIOUS, stays until " +
			h.retiredUntil().UTC().Format(time.RFC3339) + ", when its last access token has ended")
	}
	return r.refused(full+"labelled versions of this secret hold all of them",
		"Find the version whose client is no longer used: "+
			"`aws secretsmanager list-secret-version-ids "+
			"--secret-id "+r.name+"`. Remove its label: `aws secretsmanager "+
			"update-secret-version-stage "+
			"--secret-id "+r.name+" --version-stage LABEL --remove-from-version-id VERSION`. "+
			"The next rotation then deletes its client.")
}

func (r *rotation) listClients(ctx context.Context, m manager, access redact.Secret) (
	[]providers.Client, error,
) {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	clients, err := m.ListClients(ctx, m.doc, access)
	if err != nil {
		x := asExchange(err)
		return nil, r.classified(x.Class, x.Error(), x.Hint)
	}
	return clients, nil
}

func (r *rotation) deleteClient(ctx context.Context, m manager, access redact.Secret,
	id string,
) error {
	ctx, cancel := limits.Bounded(ctx)
	defer cancel()
	if err := m.DeleteClient(ctx, m.doc, access, id); err != nil {
		x := asExchange(err)
		return r.classified(x.Class, x.Error(), x.Hint)
	}
	r.Log.InfoContext(ctx, "deleted a client that is no longer used", "secret_id", r.name,
		"client_id", id)
	return nil
}

// history is what the secret's versions say of the clients.
type history struct {
	labels   map[string][]string // of the versions that hold each client
	own      map[string]bool     // clients that only this secret uses
	promoted time.Time           // when AWSCURRENT last moved, as far as is known
	life     time.Duration       // of an access token
}

// history reads the labelled versions. If they do not account for every client, it reads
// all other versions that still exist. A client is this secret's own if a version that
// this secret's rotation wrote says so, or the operator's tag.
func (r *rotation) history(ctx context.Context, m manager, clients []providers.Client) (
	*history, error,
) {
	versions, err := r.Secrets.Versions(ctx, r.event.SecretID)
	if err != nil {
		return nil, r.aws(string(r.role), r.name, err)
	}
	h := &history{labels: map[string][]string{}, own: map[string]bool{}, life: m.TokenLife()}
	for _, id := range r.named() {
		h.own[id] = true
	}
	// AWS does not date a label, so the latest time that is known counts as the last
	// promotion.
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
		served := slices.Contains(labels, secrets.Current) || slices.Contains(labels, secrets.Previous)
		if served && v.Created.After(h.promoted) {
			h.promoted = v.Created
		}
	}
	for _, v := range others {
		unknown := func(c providers.Client) bool { return !h.own[c.ID] && !h.used(c.ID) }
		if !slices.ContainsFunc(clients, unknown) {
			break // the other versions can add nothing
		}
		client, own, err := r.readClient(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		h.own[client] = h.own[client] || own
	}
	return h, nil
}

// named are the clients of which an operator says that only this secret uses them.
func (r *rotation) named() []string {
	return strings.FieldsFunc(r.secret.Tags[clientTag],
		func(c rune) bool { return c == ' ' || c == ',' })
}

// keepingLabels are the labels of a version because of which its client must stay. They
// come from DescribeSecret, since a listing may be older. A note of what became of the
// version when it was sent, and EVERTOKEN_MADE, are none of them.
func (r *rotation) keepingLabels(versionID string) []string {
	return slices.DeleteFunc(slices.Clone(r.secret.Labels[versionID]),
		func(l string) bool { return renew.IsNote(l) || l == labelMade })
}

func (h *history) retiredUntil() time.Time { return h.promoted.Add(h.life) }

// used reports whether the client must stay because of a label other than AWSPREVIOUS.
func (h *history) used(client string) bool {
	return slices.ContainsFunc(h.labels[client], func(l string) bool { return l != secrets.Previous })
}

// judge decides what a client is.
func (h *history) judge(c providers.Client, now time.Time) verdict {
	switch {
	case h.used(c.ID):
		return inUse
	case !h.own[c.ID]:
		return foreign
	case len(h.labels[c.ID]) > 0 && now.Before(h.retiredUntil()):
		return retired
	}
	return free
}
