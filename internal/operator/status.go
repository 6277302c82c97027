package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/secrets"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status [NAME…]", Short: "Show every connection: its token, what is next, " +
			"what needs a person",
		Long: `Status reads what is stored and changes nothing. The states:

  fresh     the token is valid and not yet due
  due       the next run renews the token
  late      the token lives for less than min_remaining: renewals fail
  expired   the token has expired
  none      no token is published yet
  waiting   no credential is stored yet
  wrong     the declaration or its secrets cannot work
  unread    you may not read it

It exits with 1 if a person is needed, and with 3 if it could not read
everything.`,
		ValidArgsFunction: a.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return a.status(c.Context(), args) },
	}
}

// The states of a connection.
const (
	stateFresh   = "fresh"
	stateDue     = "due"
	stateLate    = "late"
	stateExpired = "expired"
	stateNone    = "none"
	stateWaiting = "waiting"
	stateWrong   = "wrong"
	stateUnread  = "unread"
)

// entry is what status reports about a connection.
type entry struct {
	Name        string     `json:"name"`
	Provider    string     `json:"provider,omitempty"`
	State       string     `json:"state"`
	NeedsPerson bool       `json:"needs_person"`
	IssuedAt    *time.Time `json:"issued_at,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	RenewAfter  *time.Time `json:"renew_after,omitempty"`
	// NeedsPersonAt is the end of what only a person can renew, where known.
	NeedsPersonAt *time.Time `json:"needs_person_at,omitempty"`
	SecondsLeft   *int64     `json:"seconds_left,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	Next          string     `json:"next,omitempty"`
	// Unread says which documents could not be read, and why.
	Unread []string `json:"unread,omitempty"`
}

func (a *app) status(ctx context.Context, names []string) error {
	all, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	declared := all.declared
	if len(names) > 0 {
		declared = nil
		for _, name := range names {
			d, err := all.find(name)
			if err != nil {
				return err
			}
			declared = append(declared, d)
		}
	}
	entries := a.judgeAll(ctx, declared)
	if a.output == "json" {
		err = a.json(map[string]any{"region": a.aws.region, "path": all.path, "connections": entries})
	} else {
		a.printStatus(all, entries)
	}
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(entries, func(e entry) bool { return e.NeedsPerson }):
		return errPerson
	case slices.ContainsFunc(entries, func(e entry) bool { return len(e.Unread) > 0 }):
		return &failure{exitAWS, errors.New("not everything could be read"),
			"The lines above say what is missing. Correct that, then run this again."}
	}
	return nil
}

// seen has what status reads of a connection.
type seen struct {
	token secrets.Read
	// credential is the description of its secret.
	credential    secrets.Description
	credentialErr error
}

// readAtOnce is how many connections are read at a time: AWS allows about 40
// DescribeSecret requests a second.
const readAtOnce = 8

// judgeAll reads the tokens in batches and the credentials' labels one by one.
func (a *app) judgeAll(ctx context.Context, declared []connection.Declared) []entry {
	entries := make([]entry, len(declared))
	var ids, parameters []string
	for _, d := range declared {
		if d.Connection.Token != "" {
			ids = append(ids, d.Connection.Token)
		} else if d.Connection.TokenParameter != "" {
			parameters = append(parameters, d.Connection.TokenParameter)
		}
	}
	tokens, inParameters := a.aws.store.Batch(ctx, ids), a.aws.values.Batch(ctx, parameters)
	slots := make(chan struct{}, readAtOnce)
	var wait sync.WaitGroup
	for i, d := range declared {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			err := d.Err
			if err == nil {
				_, err = a.provider(d.Connection)
			}
			if err != nil {
				entries[i] = entry{Name: d.Name, Provider: d.Connection.Provider,
					State: stateWrong, NeedsPerson: true,
					Reason: problem(err),
					Next:   "Correct it in the parameter " + d.Parameter + "."}
				return
			}
			s := seen{token: tokens[d.Connection.Token]}
			if d.Connection.Token == "" {
				s.token = inParameters[d.Connection.TokenParameter]
			}
			s.credential, s.credentialErr = a.aws.store.Describe(ctx, d.Connection.Credential)
			entries[i] = judge(d.Connection, s, a.Now())
		})
	}
	wait.Wait()
	return entries
}

// rejected begins the label of a version that the provider refused; the day
// follows.
const rejected = "EVERTOKEN_REJECTED_"

// personSoon is how long before its end a credential needs a person.
const personSoon = 14 * 24 * time.Hour

// judge says what state a connection is in.
func judge(c connection.Connection, s seen, now time.Time) entry {
	e := entry{Name: c.Name, Provider: c.Provider}
	e.readToken(c, s.token, now)
	credentialName := connection.SecretName(c.Credential)
	switch kind := secrets.ErrorKind(s.credentialErr); kind {
	case secrets.NoError:
	case secrets.ErrNotFound, secrets.ErrDeleted:
		what := "does not exist"
		if kind == secrets.ErrDeleted {
			what = "is marked for deletion"
		}
		e.State, e.NeedsPerson = stateWrong, true
		e.Reason = "its secret " + credentialName + " " + what
		e.Next = "`evertoken check " + c.Name + "` names all that is missing. `evertoken add " +
			c.Name + "` creates it."
		return e
	default:
		e.Unread = append(e.Unread, fmt.Sprintf("%s: %v", credentialName, s.credentialErr))
		return e
	}
	current := s.credential.Holder(secrets.Current)
	if current == "" && e.State != stateFresh && e.State != stateDue {
		e.State, e.NeedsPerson = stateWaiting, true
		e.Reason, e.Next = "no credential is stored yet", "Store it with: evertoken credential "+c.Name
		return e
	}
	if day := refusedOn(s.credential, current); day != "" && (e.State == stateNone ||
		e.State == stateExpired || e.State == stateLate || recent(day, now)) {
		e.NeedsPerson = true
		e.Reason = "the provider refused the stored credential on " + day
		e.Next = "Store a new one with: evertoken credential " + c.Name
	}
	return e
}

// readToken fills in the members of the token document.
func (e *entry) readToken(c connection.Connection, read secrets.Read, now time.Time) {
	switch kind := secrets.ErrorKind(read.Err); {
	case kind == secrets.ErrNotFound || kind == secrets.NoError && read.Version.Value.IsZero():
		e.State, e.Reason = stateNone, "no token is published yet"
		return
	case kind != secrets.NoError:
		e.State, e.Unread = stateUnread, []string{fmt.Sprintf("%s: %v", tokenName(c), read.Err)}
		return
	}
	t, err := credential.ParseToken(read.Version.Value)
	if err != nil || t.Connection != "" && t.Connection != c.Name {
		e.State, e.Reason = stateNone, "what is stored in "+tokenName(c)+" is not this connection's token"
		return
	}
	e.IssuedAt, e.ExpiresAt, e.RenewAfter = &t.IssuedAt, &t.ExpiresAt, &t.RenewAfter
	left := t.ExpiresAt.Sub(now)
	seconds := int64(max(left, 0) / time.Second)
	e.SecondsLeft = &seconds
	promised := c.MinRemaining
	if life := t.ExpiresAt.Sub(t.IssuedAt); promised == 0 {
		promised = life / 6
	} else {
		promised = min(promised, life/2)
	}
	explain := "`evertoken explain " + c.Name + "` says why."
	switch {
	case left <= 0:
		e.State, e.NeedsPerson = stateExpired, true
		e.Reason, e.Next = "the token expired "+span(-left)+" ago", explain
	case left < promised:
		e.State, e.NeedsPerson = stateLate, true
		e.Next = explain
		e.Reason = "the token has " + span(left) + " left, less than min_remaining (" +
			span(promised) + ")"
	case !now.Before(t.RenewAfter):
		e.State = stateDue
	default:
		e.State = stateFresh
	}
	if at := t.NeedsPersonAt; !at.IsZero() {
		e.NeedsPersonAt = &at
		if at.Sub(now) < personSoon && !e.NeedsPerson {
			e.NeedsPerson = true
			e.Reason = "the stored credential expires in " + span(at.Sub(now)) +
				", and only a person can renew it"
			e.Next = "Store a new credential with: evertoken credential " + c.Name
		}
	}
}

// refusedOn is the latest day on which the provider refused a version, as
// 2026-11-21, or "".
func refusedOn(d secrets.Description, version string) string {
	latest := ""
	for label, id := range d.Prefixed(rejected) {
		if id == version {
			latest = max(latest, dayOf(label))
		}
	}
	return latest
}

// recent reports whether a day is today or yesterday: a refused credential is sent once a
// day, so where the token lives, an older refusal was overcome.
func recent(day string, now time.Time) bool {
	return day >= now.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
}
