package renew

import (
	"context"
	"slices"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/limits"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

// Renew renews the token of one connection if it is due.
func (e *Engine) Renew(ctx context.Context, j Job) Result {
	r := e.begin(j)
	result, err := r.run(ctx)
	if err != nil {
		result = r.ended(err)
	}
	if result.Outcome != Issued {
		r.mirror(ctx)
	}
	if j.DryRun {
		r.tellReplicas(ctx)
	}
	return r.complete(result)
}

// begin returns the state of a renewal before anything is read.
func (e *Engine) begin(j Job) *renewal {
	r := &renewal{Engine: e, job: j, conn: j.Connection, now: e.Now(), traits: j.Provider.Traits(),
		described: map[string]*secrets.Description{}}
	r.session = &session.Keeper{
		Secrets: e.Secrets, Parameters: e.Parameters, Now: e.Now, Wait: e.Sleep,
		ID: j.Connection.Session, Rescue: e.RescuePrefix + j.Connection.Name,
		RescueKey: e.RescueKey, RunLasts: e.RunLasts,
		Fits: r.belongs, Refused: r.refreshRefused, IsNote: IsNote, Hint: r.hint,
	}
	return r
}

// renewal is the state of one connection's renewal.
type renewal struct {
	*Engine
	job    Job
	conn   connection.Connection
	traits exchange.Traits
	now    time.Time
	hints  []string

	credential   credential.Credential
	grants       []exchange.Grant
	noCredential *Stopped          // why the credential cannot be used; nil if it can
	forbidden    bool              // the credential must not be sent where the settings say
	others       []otherCredential // other versions of the credential that have labels
	proof        otherCredential   // the version that the published token came from
	session      *session.Keeper   // of the session secret
	token        *TokenTimes       // nil if there is no usable token
	published    credential.Token  // the published token
	tokenVersion secrets.Version   // its ID is empty if nothing is stored
	missing      []missing         // secrets that do not exist
	decision     Decision
	// described are the secrets that were described, by document.
	described map[string]*secrets.Description
	odd       bool // the session's last exchange went wrong
	looked    bool // this run has looked for a session stored elsewhere
	left      bool // another run's token was kept in place of this run's
	// tokenRotates says that Secrets Manager also rotates the token's secret.
	tokenRotates bool
	revoked      bool   // the provider answered 401 to the token
	counted      string // the label that counts the password or seed that this run has sent
	// keep, if set, gets the token, which is then not published.
	keep func(context.Context, credential.Token) error
}

func (r *renewal) run(ctx context.Context) (Result, error) {
	if r.job.Credential == nil && Needs(r.job, r.Every, r.now) == (Reads{}) {
		if err := r.readToken(ctx); err != nil {
			return Result{}, err
		}
		return Result{Outcome: Fresh, Reason: Decide(r.facts()).Reason}, nil
	}
	if err := r.read(ctx); err != nil {
		return Result{}, err
	}
	if reason := r.fresh(ctx); reason != "" {
		return Result{Outcome: Fresh, Reason: reason}, nil
	}
	if err := r.justStored(); err != nil {
		return Result{}, err
	}
	p, err := r.planOrRecover(ctx)
	if err != nil {
		return Result{}, err
	}
	if err := r.mayBegin(ctx); err != nil {
		return Result{}, err
	}
	if r.job.DryRun {
		return r.dryRun(ctx, p)
	}
	if r.claims() {
		if err := r.session.Begin(ctx, r.turns(ctx)); err != nil {
			r.session.Release(ctx)
			return Result{}, err
		}
		if p = r.plan(); len(p.attempts) == 0 {
			r.session.Release(ctx)
			return Result{}, p.why
		}
	}
	return r.spend(ctx, p.attempts)
}

// fresh decides whether the token is due. It returns the reason why nothing is due, or "".
func (r *renewal) fresh(ctx context.Context) string {
	r.decision = Decide(r.facts())
	forOne := r.job.Force && !r.job.IssuedAt.IsZero()
	if forOne && r.token != nil && !r.token.IssuedAt.Equal(r.job.IssuedAt) {
		return "another token was published since"
	}
	if !r.decision.Due && !r.decision.BackOff && r.revokedByProbe(ctx) {
		r.revoked = true
		r.decision = Decide(r.facts())
	}
	if r.decision.Due || r.decision.BackOff {
		return ""
	}
	r.hintNoCredential()
	return r.decision.Reason
}

// planOrRecover plans what to send. If nothing current may be sent, it looks for a session
// that was stored elsewhere.
func (r *renewal) planOrRecover(ctx context.Context) (plan, error) {
	p := r.plan()
	if len(p.attempts) > 0 {
		return p, nil
	}
	better, err := r.elsewhere(ctx)
	switch {
	case err != nil:
		return p, err
	case !better:
		return p, p.why
	case r.claims(): // the claim makes it current
		return p, nil
	}
	if _, err := r.session.Recover(ctx); err != nil {
		return p, err
	}
	p = r.plan()
	return p, p.why
}

// mayBegin returns the reason why this run must not begin, before it claims or spends
// anything.
func (r *renewal) mayBegin(ctx context.Context) error {
	if r.decision.BackOff {
		return &Stopped{Failed, exchange.Transient, r.decision.Reason,
			"Once the cause is mended, " + r.forceHint() + "."}
	}
	if err := r.checkToken(ctx); err != nil {
		return err
	}
	if x := r.gate().Closed(); x != nil {
		stopped := refusal(x)
		stopped.Reason = "not tried, because another connection to this provider was just answered: " +
			stopped.Reason
		return stopped
	}
	if !limits.Enough(ctx) {
		return noTime()
	}
	return nil
}

func noTime() *Stopped { return &Stopped{Outcome: Deferred, Reason: "no time left in this run"} }

// complete adds what is known of the connection to a result.
func (r *renewal) complete(result Result) Result {
	result.Name = r.conn.Name
	if r.token != nil {
		facts := r.facts()
		result.MinRemaining, result.RenewAfter = facts.minRemaining(), facts.RenewAfter()
		if result.ExpiresAt.IsZero() {
			result.ExpiresAt = r.token.ExpiresAt
		}
	}
	if result.NeedsPersonAt.IsZero() {
		result.NeedsPersonAt = r.published.NeedsPersonAt
	}
	if result.CredentialEnds.IsZero() {
		result.CredentialEnds = r.sessionEnd()
	}
	result.Hint = Sentences(append([]string{result.Hint}, r.hints...)...)
	return result
}

// sessionEnd is the absolute end of the current session; zero if it is not known.
func (r *renewal) sessionEnd() time.Time {
	s := r.session.Session()
	end := sessionEnd(s.StartedAt, r.traits)
	if shown := s.EndsAt; !shown.IsZero() && (end.IsZero() || shown.Before(end)) {
		return shown
	}
	return end
}

// keepsSession reports whether the connection uses a session secret.
func (r *renewal) keepsSession() bool {
	return r.session.Exists && r.traits.Session != exchange.NoSession
}

// claims reports whether the run must claim the session before it sends anything.
func (r *renewal) claims() bool { return r.keepsSession() && r.traits.SingleUse }

// turns are the functions through which package session asks this run.
func (r *renewal) turns(ctx context.Context) session.Run {
	return session.Run{
		Check: func(d secrets.Description, stage session.Stage) error {
			// What went wrong has cost further versions, so they must be counted.
			r.odd = stage == session.Lost || stage == session.Orphaned
			return r.check(ctx, "session", d)
		},
		Changed: func(ctx context.Context) error {
			// The run that renewed the session has published a token by now.
			if err := r.readTokenAgain(ctx); err != nil {
				return err
			}
			if r.decision = Decide(r.facts()); !r.decision.Due {
				return &session.Waiting{Reason: "another run has just renewed the session"}
			}
			return r.justStored()
		},
		Terms: func() session.Terms {
			p := r.plan()
			return session.Terms{Dying: r.decision.Emergency && r.token != nil,
				Stronger: p.stronger, OpensWith: p.opensWith}
		},
	}
}

// publishing is how long other runs wait for the token of a run that has just stored a
// session.
const publishing = 30 * time.Second

// justStored makes this run wait if another run stored the session a moment ago and its
// token is not there yet: the other run is about to publish it.
func (r *renewal) justStored() error {
	s := r.session.Session()
	if !r.claims() || r.overrides() || r.keep != nil || s.RefreshToken.IsZero() ||
		r.session.StoredHere() {
		return nil
	}
	published := r.token != nil && !r.token.IssuedAt.Before(s.RefreshedAt)
	if published || r.Now().Sub(s.RefreshedAt) >= publishing {
		return nil
	}
	return &session.Waiting{Reason: "another run has just stored a session and is about to " +
		"publish its token"}
}

// elsewhere reports whether a session that was received may be stored elsewhere. It is
// asked if nothing current can be sent.
func (r *renewal) elsewhere(ctx context.Context) (bool, error) {
	if r.traits.Session == exchange.NoSession || r.job.DryRun || r.job.Candidate {
		return false, nil
	}
	return r.session.Elsewhere(ctx)
}

// facts are the input of the decision, from what was read.
func (r *renewal) facts() Facts {
	f := Facts{
		Now: r.now, Name: r.conn.Name, MinRemaining: r.conn.MinRemaining, Every: r.Every,
		InParameter: r.conn.TokenParameter != "", ByRotation: r.conn.RenewedBy == connection.ByRotation,
		Force: r.job.Force || r.job.Candidate || r.keep != nil, Revoked: r.revoked, Token: r.token,
		Traits: r.traits,
	}
	if r.token == nil && r.conn.TokenParameter == "" {
		f.LastWrite = r.tokenVersion.Created
	}
	if r.traits.Session != exchange.NoSession {
		s := r.session.Session()
		f.RefreshedAt, f.SessionStartedAt, f.SessionEndsAt = s.RefreshedAt, s.StartedAt, s.EndsAt
		if !s.RefreshToken.IsZero() {
			f.RefreshExpiresAt = s.ExpiresAt
		}
		f.CanRemint = len(r.opening()) > 0
	}
	return f
}

func (r *renewal) gate() Gate {
	if r.job.Gate == nil {
		return noGate{}
	}
	return r.job.Gate
}

func (r *renewal) hint(text string) {
	if text != "" && !slices.Contains(r.hints, text) {
		r.hints = append(r.hints, text)
	}
}

func (r *renewal) hintNoCredential() {
	if r.noCredential != nil {
		r.hint(r.noCredential.Reason)
		r.hint(r.noCredential.Hint)
	}
}

// overrides reports whether an operator wants what was refused to be sent again. A run
// that is forced because of one token does not.
func (r *renewal) overrides() bool {
	return r.job.Force && r.job.IssuedAt.IsZero() || r.job.Candidate
}

// request is the input of an exchange by the grant.
func (r *renewal) request(g exchange.Grant) exchange.Request {
	q := exchange.Request{Grant: g, Credential: r.credential, Published: r.access()}
	if g.FromSession() {
		q.RefreshToken = r.session.Session().RefreshToken
	}
	return q
}

// access is the published access token; zero if there is no usable one.
func (r *renewal) access() redact.Secret {
	if r.token == nil {
		return redact.Secret{}
	}
	return r.published.AccessToken
}
