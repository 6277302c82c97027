package renew

import (
	"context"
	"strings"

	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// count labels a password as sent before it is sent. Otherwise, if this run is killed or
// may not label the refusal, every heartbeat would send the password again until the
// account is locked. Two cases need no label: a claimed session already tells later runs,
// and a run in the first heartbeat in which the token is due is followed by late ones,
// which count.
//
// A changed seed is counted too if a session is in force: the session's own labels tell how
// often its refresh token was sent, and not how often the seed was.
//
// What cannot be counted is not sent. A password that has worked is still sent once a day, in
// a heartbeat chosen by the connection's name, because perhaps only the right to label is
// missing.
func (r *renewal) count(ctx context.Context, g exchange.Grant) error {
	told := r.session.Claimed() || r.session.Beside() || r.onTime()
	tried := r.job.Candidate && singleUse(g)
	if r.overrides() && !tried || r.hasCounted(g) || !r.opensOver(g) && (!g.Password || told) {
		return nil
	}
	sent := r.memoryOf(g).unsure
	if singleUse(g) {
		sent = recall(r.labelsOfSeed(), r.key(g.Type)).unsure
	}
	label := unsureLabel(sent+1, r.Now(), r.key(g.Type))
	d, err := r.attach(ctx, r.conn.Credential, r.job.Credential.Version.ID, label)
	if err == nil {
		r.counted = label
		r.dropLabels(ctx, r.conn.Credential, d, r.outdated(g))
		return nil
	}
	stopped := r.awsFailure("credential", r.conn.Credential, err)
	if r.worked(g) && probeDue(r.conn.Name, day, r.Every, r.now) {
		r.hint("Evertoken sent the password without a note of it, which it does once a day: " +
			stopped.Reason)
		r.hint(stopped.Hint)
		return nil
	}
	what := "password"
	if !g.Password {
		what = "refresh token"
	}
	stopped.Reason = "nothing was sent, because the attempt with the " + what +
		" could not be noted: " + stopped.Reason
	return stopped
}

// outdated are the labels about a grant that say nothing more once its next sending is
// counted: earlier counts but the last, which stands again if this one is taken back, and
// what the provider answered to an earlier sending of a seed. Without them each killed run
// would leave one label more, and a seed that got no answer would count as answered.
func (r *renewal) outdated(g exchange.Grant) []string {
	last := r.memoryOf(g).unsure
	var out []string
	for _, label := range r.labelsFor(g) {
		n, _, of, isCount := parseUnsure(label)
		_, answered, isAnswer := parseAnswer(label)
		if isCount && of == r.key(g.Type) && n < last ||
			isAnswer && answered == r.key(g.Type) && !g.Password {
			out = append(out, label)
		}
	}
	return out
}

// hasCounted reports whether this run has counted the grant. A refresh token of the session,
// whose grant has the same name as a seed's, is never counted here.
func (r *renewal) hasCounted(g exchange.Grant) bool {
	return r.counted != "" && !g.FromSession() &&
		strings.HasSuffix(r.counted, "_"+string(r.key(g.Type)))
}

// onTime reports whether this is the first heartbeat in which the token is due.
func (r *renewal) onTime() bool {
	return r.decision.Reason == reasonDue && r.now.Sub(r.facts().renewAt()) < r.Every
}

// uncount takes the note of [renewal.count] away: what was sent works, or the answer says
// nothing about it.
func (r *renewal) uncount(ctx context.Context) {
	if r.counted == "" {
		return
	}
	on := secrets.Description{Labels: map[string][]string{r.job.Credential.Version.ID: {r.counted}}}
	r.dropLabels(ctx, r.conn.Credential, on, []string{r.counted})
	r.counted = ""
}
