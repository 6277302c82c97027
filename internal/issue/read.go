package issue

import (
	"context"
	"sync"

	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

const (
	// readers is how many batches are read at the same time.
	readers = 10
	// tokensAtOnce is how many tokens are read by a call: as many as
	// BatchGetSecretValue takes, or twice GetParameters.
	tokensAtOnce = secrets.BatchSize
)

// readAll reads the tokens first. Then it reads the other documents of the connections
// whose token is due or says nothing. A connection with all its documents goes to the pool
// while others are still being read.
func (r *run) readAll(ctx context.Context, all []*task) {
	inSecrets, inParameters := split(all)
	due := &pile{}
	var reading sync.WaitGroup
	places := make(chan struct{}, readers)
	inTurn := func(f func()) {
		places <- struct{}{}
		reading.Go(func() {
			defer func() { <-places }()
			f()
		})
	}
	for _, list := range [][]*task{inSecrets, inParameters} {
		for len(list) > 0 {
			some := list[:min(tokensAtOnce, len(list))]
			list = list[len(some):]
			inTurn(func() {
				r.readTokens(ctx, some)
				for _, t := range some {
					r.look(ctx, t, due)
				}
				if ready := due.take(secrets.BatchSize); len(ready) > 0 {
					r.readRest(ctx, ready)
				}
			})
		}
	}
	reading.Wait()
	for ready := due.take(1); len(ready) > 0; ready = due.take(1) {
		r.readRest(ctx, ready)
	}
}

func split(all []*task) (inSecrets, inParameters []*task) {
	for _, t := range all {
		if t.job.Connection.Token != "" {
			inSecrets = append(inSecrets, t)
		} else {
			inParameters = append(inParameters, t)
		}
	}
	return inSecrets, inParameters
}

// readTokens reads the published tokens, and the plain copies to see whether they are
// equal to them.
func (r *run) readTokens(ctx context.Context, some []*task) {
	var ids, names []string
	for _, t := range some {
		c := t.job.Connection
		ids = appendSet(ids, c.Token, c.PlainCopy)
		names = appendSet(names, c.TokenParameter)
	}
	read := batch(ctx, ids, r.Secrets.Batch)
	parameters := batch(ctx, names, r.Parameters.Batch)
	for _, t := range some {
		c := t.job.Connection
		t.job.Token = read[c.Token]
		if c.TokenParameter != "" {
			t.job.Token = parameters[c.TokenParameter]
		}
		if copied, ok := read[c.PlainCopy]; ok {
			t.job.Copy = &copied
		}
	}
}

func batch(ctx context.Context, ids []string,
	read func(context.Context, []string) map[string]secrets.Read,
) map[string]secrets.Read {
	if len(ids) == 0 {
		return nil
	}
	return read(ctx, ids)
}

func appendSet(to []string, ids ...string) []string {
	for _, id := range ids {
		if id != "" {
			to = append(to, id)
		}
	}
	return to
}

// look decides by the token alone whether to read more of a connection. A fault in our
// own code ends that connection's task only.
func (r *run) look(ctx context.Context, t *task, due *pile) {
	defer func() {
		if recover() != nil {
			r.done(ctx, r.faulty(ctx, t.job.Connection.Name))
		}
	}()
	needs, glance := r.engine.Glance(t.job)
	if len(r.event.Connections) > 0 {
		needs = renew.Reads{Credential: true,
			Session: t.job.Provider.Traits().Session != exchange.NoSession}
	}
	switch {
	case needs != (renew.Reads{}):
		t.looked(glance, r.Now())
		due.add(t, needs)
	case t.job.Copy != nil:
		r.done(ctx, r.renew(ctx, t)) // which compares the copy with the token
	default:
		r.done(ctx, glance)
	}
}

// readRest reads the other documents, and gives the tasks to the pool.
func (r *run) readRest(ctx context.Context, some []needing) {
	var ids []string
	ready := make([]*task, 0, len(some))
	for _, n := range some {
		ids = append(ids, n.ids()...)
		ready = append(ready, n.task)
	}
	var read map[string]secrets.Read
	if !r.scheduled() || limits.Enough(ctx) {
		read = r.Secrets.Batch(ctx, ids)
	}
	for _, n := range some {
		c := n.job.Connection
		if credential, ok := read[c.Credential]; ok && n.Credential {
			n.job.Credential = &credential
		}
		if session, ok := read[c.Session]; ok && n.Session {
			n.job.Session = &session
		}
	}
	r.pool.add(ready...)
}

// needing is a task with the documents to read for it.
type needing struct {
	*task
	renew.Reads
}

func (n needing) ids() []string {
	var ids []string
	if n.Credential {
		ids = append(ids, n.job.Connection.Credential)
	}
	if n.Session {
		ids = append(ids, n.job.Connection.Session)
	}
	return ids
}

// pile collects tasks until they fill a batch.
type pile struct {
	mu   sync.Mutex
	all  []needing
	size int // documents
}

func (p *pile) add(t *task, needs renew.Reads) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := needing{t, needs}
	p.all = append(p.all, n)
	p.size += len(n.ids())
}

// take empties the pile if it holds at least that many documents.
func (p *pile) take(least int) []needing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size < least {
		return nil
	}
	all := p.all
	p.all, p.size = nil, 0
	return all
}
