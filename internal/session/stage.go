package session

import (
	"time"

	"evertoken/internal/secrets"
)

// Stage is the state of the session secret.
type Stage string

// The stages; the package comment has the table.
const (
	Empty      Stage = "empty"
	Moved      Stage = "moved"
	Unlabelled Stage = "unlabelled"
	Idle       Stage = "idle"
	Lost       Stage = "lost"
	Busy       Stage = "busy"
	Orphaned   Stage = "orphaned"
)

// StageOf reads the stage from the answer of DescribeSecret. read is the id of the version
// that the run has read, "" if there was none. runLasts is the longest time that a run can
// last. It is a pure function.
func StageOf(d secrets.Description, read string, now time.Time, runLasts time.Duration) Stage {
	current, holder := d.Holder(secrets.Current), d.Holder(LabelExchange)
	switch {
	case current != read:
		return Moved
	case current == "":
		return Empty
	case holder == "":
		return Unlabelled
	case holder != current && sentNote(on(d)).n > 0:
		return Lost
	case holder != current:
		return Idle
	}
	seen := notes(on(d), LabelSeen)
	if len(seen) > 0 && now.Sub(seen[0].at) >= runLasts && now.Sub(d.LastChanged) >= runLasts {
		return Orphaned
	}
	return Busy
}

// Terms are what the next step depends on besides the stage.
type Terms struct {
	// Dying is set if the published token has expired or is about to.
	Dying bool
	// Stronger is set if this run can open a session by a grant that may be repeated: a
	// password or a client's secret.
	Stronger bool
	// BeingOpened is set if AWSCURRENT says that a session is being opened, and the run that
	// wrote it may not have put the label there yet.
	BeingOpened bool
	// OpensWith is the fingerprint of the values that would open a session first; empty if
	// the session's refresh token is sent first. It does not change the step.
	OpensWith string
	// NotedFor is how long ago another run first noted the claim; 0 if none did.
	NotedFor time.Duration
}

// Step is what a run does in a stage.
type Step string

// The steps.
const (
	Open      Step = "open"       // write a version that says that a session is being opened
	ReadAgain Step = "read again" // read AWSCURRENT again
	Place     Step = "place"      // put LabelExchange where it is no claim, then look again
	Claim     Step = "claim"      // move LabelExchange onto AWSCURRENT
	TakeOver  Step = "take over"  // take the note of a claim whose run has ended
	PassBy    Step = "pass by"    // leave the claim alone and open another session beside it
	Note      Step = "note"       // label when the claim was first seen, and wait
	WaitStep  Step = "wait"       // another run is renewing the session, or was a moment ago
)

// noted is how old the note about a claim must be before a run passes by the claim. A claim
// that is being made at this moment belongs to a run that was faster.
const noted = time.Minute

// Next is the step that a stage leads to. It is a pure function.
func Next(stage Stage, t Terms) Step {
	switch stage {
	case Empty:
		return Open
	case Moved:
		return ReadAgain
	case Unlabelled:
		if t.BeingOpened {
			return WaitStep
		}
		return Place
	case Idle, Lost:
		return Claim
	case Orphaned:
		return TakeOver
	case Busy:
		switch {
		case t.NotedFor == 0:
			return Note
		case t.Dying && t.Stronger && t.NotedFor >= noted:
			return PassBy
		}
	}
	return WaitStep
}

// Doubt says how often the session's refresh token, or the seed that opens it, was sent
// without an answer being stored, and when last.
type Doubt struct {
	Sent int
	Last time.Time
}

// Replay are the conditions for sending it again.
type Replay struct {
	Now time.Time
	// Provider is set if the provider accepts a refresh token again after a lost answer, or
	// usually does.
	Provider bool
	// Stronger is as in [Terms].
	Stronger bool
	// NeedsToken is set if there is no published token, or only one that has expired or is
	// about to.
	NeedsToken bool
	// Force is set if an operator asks for it.
	Force bool
}

// Daily is how often a refresh token in doubt is sent if nothing stronger is stored. It is a
// little less than a day, because heartbeats may come early.
const Daily = 24*time.Hour - time.Minute

// MaySend reports whether the refresh token may be sent. After a lost answer, it may be sent
// once more before a stronger grant is used, if the provider allows that. If there is no
// stronger grant, it may be sent when the published token is about to expire anyway, because
// a provider that takes a replay for theft ends the published token too. After that it may
// be sent once a day, so that an outage needs no person.
func (d Doubt) MaySend(r Replay) bool {
	switch {
	case d.Sent == 0, r.Force:
		return true
	case r.Stronger:
		return r.Provider && d.Sent == 1
	case d.Sent == 1:
		return r.NeedsToken
	}
	return r.NeedsToken && r.Now.Sub(d.Last) >= Daily
}
