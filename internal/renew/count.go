package renew

import (
	"context"

	"evertoken/internal/exchange"
	"evertoken/internal/secrets"
)

// count labels a password as sent before it is sent. Otherwise, if this run is killed or
// may not label the refusal, every heartbeat would send the password again until the
// account is locked. Two cases need no label: a claimed session already tells later runs,
// and a run in the first heartbeat in which the token is due is followed by late ones,
// which count.
//
// A password that cannot be counted is not sent. One that has worked is still sent once a
// day, in a heartbeat chosen by the connection's name, because perhaps only the right to
// label is missing.
func (r *renewal) count(ctx context.Context, g exchange.Grant) error {
	if !g.Password || r.overrides() || r.session.Claimed() || r.session.Beside() || r.onTime() {
		return nil
	}
	label := unsureLabel(r.memoryOf(g).unsure+1, r.Now(), r.key(g.Type))
	_, err := r.attach(ctx, r.conn.Credential, r.job.Credential.Version.ID, label)
	if err == nil {
		r.counted = label
		return nil
	}
	stopped := r.awsFailure("credential", r.conn.Credential, err)
	if r.worked(g) && probeDue(r.conn.Name, day, r.Every, r.now) {
		r.hint("Evertoken sent the password without a note of it, which it does once a day: " +
			stopped.Reason)
		r.hint(stopped.Hint)
		return nil
	}
	stopped.Reason = "nothing was sent, because the attempt with the password could not be noted: " +
		stopped.Reason
	return stopped
}

// onTime reports whether this is the first heartbeat in which the token is due.
func (r *renewal) onTime() bool {
	return r.decision.Reason == reasonDue && r.now.Sub(r.facts().renewAt()) < r.Every
}

// uncount takes the note of [renewal.count] away: the password works, or the answer
// says nothing about it.
func (r *renewal) uncount(ctx context.Context) {
	if r.counted == "" {
		return
	}
	on := secrets.Description{Labels: map[string][]string{r.job.Credential.Version.ID: {r.counted}}}
	r.dropLabels(ctx, r.conn.Credential, on, []string{r.counted})
	r.counted = ""
}
